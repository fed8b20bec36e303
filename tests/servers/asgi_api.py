"""A small API as an ASGI application, as people write it to test without a network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.servers.fake_server import prediction

BASE_URL = "http://localhost/v1"
RUNS_FOR = 0.3


class API:
    """An API with one model, which takes 0.3 s.

    Attributes:
        app: the application.
        ends: whether a stream ends when its prediction is finished.
        asked: the operations that were requested.
        open: the number of streams in flight.
    """

    def __init__(self) -> None:
        self.ends = True
        self.asked: list[str] = []
        self.open = 0
        self._texts: list[tuple[str, float]] = []
        one = "/v1/predictions/{id}"
        self.app = Starlette(
            routes=[
                Route("/v1/models/owner/name/predictions", self._create, methods=["POST"]),
                Route(one, self._get),
                Route(f"{one}/stream", self._stream),
                Route(f"{one}/cancel", self._cancel, methods=["POST"]),
                Route("/v1/fails", self._fail),
            ]
        )

    async def _create(self, request: Request) -> Response:
        self.asked.append("create")
        text = (await request.json())["input"]["text"]
        self._texts.append((text, anyio.current_time() + RUNS_FOR))
        return JSONResponse(self._prediction(len(self._texts) - 1), 201)

    async def _get(self, request: Request) -> Response:
        self.asked.append("get")
        return JSONResponse(self._prediction(int(request.path_params["id"][1:])))

    async def _cancel(self, request: Request) -> Response:
        self.asked.append("cancel")
        return JSONResponse(self._prediction(int(request.path_params["id"][1:])))

    async def _stream(self, request: Request) -> Response:
        self.asked.append("stream")
        events = self._events(int(request.path_params["id"][1:]))
        return StreamingResponse(events, media_type="text/event-stream")

    async def _fail(self, request: Request) -> Response:
        raise ZeroDivisionError("a bug in the application")

    async def _events(self, number: int) -> AsyncIterator[str]:
        self.open += 1
        try:
            text, end = self._texts[number]
            yield "event: output\nid: 1\ndata: hello \n\n"
            yield f"event: output\nid: 2\ndata: {text}\n\n"
            await anyio.sleep(end - anyio.current_time())
            if not self.ends:
                await anyio.sleep_forever()
            yield "event: done\nid: 3\ndata: {}\n\n"
        finally:
            self.open -= 1

    def _prediction(self, number: int) -> dict[str, Any]:
        text, end = self._texts[number]
        get = f"{BASE_URL}/predictions/p{number}"
        found: dict[str, Any] = prediction(
            "processing",
            id=f"p{number}",
            urls={"get": get, "cancel": f"{get}/cancel", "stream": f"{get}/stream"},
        )
        if anyio.current_time() >= end:
            found |= {"status": "succeeded", "output": f"hello {text}"}
        return found
