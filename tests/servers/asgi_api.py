"""A small API as an ASGI application, for tests without a network."""

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
    """An API with one model, whose predictions run for 0.3 s.

    Attributes:
        app: The application.
        ends: Whether a stream ends when its prediction is finished. Set it to `False` to make
            streams hang.
        operations: The requested operations, in order.
        open_streams: The number of open streams.
    """

    def __init__(self) -> None:
        self.ends = True
        self.operations: list[str] = []
        self.open_streams = 0
        self._texts: list[tuple[str, float]] = []
        path = "/v1/predictions/{id}"
        self.app = Starlette(
            routes=[
                Route("/v1/models/owner/name/predictions", self._create, methods=["POST"]),
                Route(path, self._get),
                Route(f"{path}/stream", self._stream),
                Route(f"{path}/cancel", self._cancel, methods=["POST"]),
                Route("/v1/fails", self._fail),
            ]
        )

    async def _create(self, request: Request) -> Response:
        self.operations.append("create")
        text = (await request.json())["input"]["text"]
        self._texts.append((text, anyio.current_time() + RUNS_FOR))
        return JSONResponse(self._prediction(len(self._texts) - 1), 201)

    async def _get(self, request: Request) -> Response:
        self.operations.append("get")
        return JSONResponse(self._prediction(int(request.path_params["id"][1:])))

    async def _cancel(self, request: Request) -> Response:
        self.operations.append("cancel")
        return JSONResponse(self._prediction(int(request.path_params["id"][1:])))

    async def _stream(self, request: Request) -> Response:
        self.operations.append("stream")
        events = self._events(int(request.path_params["id"][1:]))
        return StreamingResponse(events, media_type="text/event-stream")

    async def _fail(self, request: Request) -> Response:
        raise ZeroDivisionError("a bug in the application")

    async def _events(self, number: int) -> AsyncIterator[str]:
        self.open_streams += 1
        try:
            text, end = self._texts[number]
            yield "event: output\nid: 1\ndata: hello \n\n"
            yield f"event: output\nid: 2\ndata: {text}\n\n"
            await anyio.sleep(end - anyio.current_time())
            if not self.ends:
                await anyio.sleep_forever()
            yield "event: done\nid: 3\ndata: {}\n\n"
        finally:
            self.open_streams -= 1

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
