"""The responses of the server: predictions with a fixed duration, pages, streams, files.

An `App` does not depend on the HTTP version: it receives a request and a destination for the
response. Times are `time.monotonic()`, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Protocol

from benchmarks.server import bodies

BLOCK = bytes(256 * 1024)
COMMENT_PAUSE = 10.0
LATENCY_EVENTS = 100
LATENCY_PAUSE = 0.005


class Responder(Protocol):
    """The destination of a response."""

    def send(self, status: int, body: bytes, headers: Mapping[str, str] = {}) -> None: ...

    async def stream(
        self, headers: Mapping[str, str], pieces: AsyncIterator[bytes], length: int | None = None
    ) -> None: ...


Handler = Callable[..., Awaitable[None] | None]


class Prediction:
    """A prediction that finishes a fixed number of seconds after its creation."""

    def __init__(self, id: str, input: dict[str, Any], origin: str) -> None:
        self.id = id
        self.input = input
        self.origin = origin
        self.requests = 1
        self.finishes_at = time.monotonic() + float(input.get("seconds", 0))

    def body(self) -> bytes:
        """Return its current state. The output of a finished prediction is the time of its end."""
        over = time.monotonic() >= self.finishes_at
        output = None
        if over:
            output = self.input.get("output")
            if output is None:
                output = {"finished_at": self.finishes_at, "requests": self.requests}
        stream = f"{self.origin}/streams/{self.id}" if "stream" in self.input else None
        state = bodies.prediction(
            self.id,
            "succeeded" if over else "processing",
            origin=self.origin,
            input=self.input,
            output=output,
            stream=stream,
        )
        return json.dumps(state).encode()

    def unstarted(self) -> bytes:
        """Return its state when a blocking create times out."""
        state = bodies.prediction(self.id, "starting", origin=self.origin, input=self.input)
        return json.dumps(state).encode()


class App:
    """The routes and the predictions of the server."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.fixed = bodies.fixed(origin)
        self._predictions: dict[str, Prediction] = {}
        self._uploaded = 0
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = [
            ("GET", re.compile(r"/v1/(?:predictions|models)/fixed"), self._fixed),
            ("GET", re.compile(r"/v1/(?:predictions|models)/held-(\d+)"), self._held),
            ("GET", re.compile(r"/v1/predictions/output-(\d+)"), self._output),
            ("POST", re.compile(r"/v1/(?:models/[^/]+/[^/]+/)?predictions"), self._create),
            ("GET", re.compile(r"/v1/predictions/([^/]+)"), self._get),
            ("POST", re.compile(r"/v1/predictions/([^/]+)/cancel"), self._get),
            ("GET", re.compile(r"/page/(\d+)/v1/predictions"), self._page),
            ("GET", re.compile(r"/streams/([^/]+)"), self._stream),
            ("POST", re.compile(r"/(?:v1/chat/completions)"), self._chat),
            ("POST", re.compile(r"/v1/files"), self._upload),
            ("GET", re.compile(r"/bytes/(\d+)"), self._bytes),
        ]

    async def handle(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        respond: Responder,
    ) -> None:
        """Respond to a request. Only the length of an upload is kept."""
        path = path.partition("?")[0]
        for wanted, pattern, handler in self._routes:
            match = pattern.fullmatch(path)
            if match is not None and method == wanted:
                result = handler(respond, *match.groups(), headers=headers, body=body)
                if result is not None:
                    await result
                return
        respond.send(404, b'{"status": 404, "title": "Not found", "detail": "no such route"}')

    def _fixed(self, respond: Responder, **_: Any) -> None:
        respond.send(200, self.fixed)

    async def _held(self, respond: Responder, seconds: str, **_: Any) -> None:
        await asyncio.sleep(float(seconds))
        respond.send(200, bodies.fixed(self.origin, f"held-{seconds}"))

    def _output(self, respond: Responder, size: str, **_: Any) -> None:
        respond.send(200, bodies.large(self.origin, int(size)))

    async def _create(
        self, respond: Responder, *, headers: Mapping[str, str], body: bytes, **_: Any
    ) -> None:
        id = f"p{len(self._predictions):025d}"
        made = Prediction(id, json.loads(body)["input"], self.origin)
        self._predictions[id] = made
        prefer = headers.get("prefer", "")
        if not prefer.startswith("wait"):
            respond.send(201, made.body())
            return
        hold = float(prefer.partition("=")[2] or 60) - 1
        left = made.finishes_at - time.monotonic()
        await _until(time.monotonic() + min(left, hold))
        if left <= hold:
            respond.send(201, made.body())
        else:
            respond.send(202, made.unstarted())

    def _get(self, respond: Responder, id: str, **_: Any) -> None:
        made = self._predictions.get(id)
        if made is None:
            respond.send(404, b'{"status": 404, "title": "Not found", "detail": "no prediction"}')
            return
        made.requests += 1
        respond.send(200, made.body())

    def _page(self, respond: Responder, items: str, **_: Any) -> None:
        respond.send(200, bodies.page(self.origin, int(items)))

    async def _stream(self, respond: Responder, id: str, **_: Any) -> None:
        made = self._predictions[id]
        made.requests += 1
        kind, _, count = str(made.input["stream"]).partition("-")
        pieces = {
            "end": lambda: _until_end(made),
            "latency": _latency,
        }.get(kind, lambda: _recorded(kind, int(count)))
        await respond.stream({"content-type": "text/event-stream"}, pieces())

    async def _chat(self, respond: Responder, *, body: bytes, **_: Any) -> None:
        kind, _, count = json.loads(body)["model"].partition("-")
        pieces = _latency() if kind == "latency" else _recorded(kind, int(count))
        await respond.stream({"content-type": "text/event-stream"}, pieces)

    def _upload(self, respond: Responder, *, headers: Mapping[str, str], **_: Any) -> None:
        self._uploaded += 1
        size = int(headers["content-length"])
        respond.send(201, json.dumps(bodies.file(self.origin, self._uploaded, size)).encode())

    async def _bytes(self, respond: Responder, size: str, **_: Any) -> None:
        headers = {"content-type": "application/octet-stream", "etag": '"same"'}
        await respond.stream(headers, _blocks(int(size)), int(size))


@cache
def recorded(kind: str, count: int) -> tuple[bytes, ...]:
    """Return a complete stream as the pieces to send: full pieces, or one per event."""
    events = [bodies.event(kind, number) for number in range(count)]
    events.append(bodies.last_event(kind))
    if kind.endswith("singly"):
        return tuple(events)
    whole = b"".join(events)
    return tuple(whole[start : start + 16384] for start in range(0, len(whole), 16384))


async def _recorded(kind: str, count: int) -> AsyncIterator[bytes]:
    for piece in recorded(kind, count):
        yield piece


async def _latency() -> AsyncIterator[bytes]:
    """Return events that contain their time of sending."""
    for number in range(LATENCY_EVENTS):
        await asyncio.sleep(LATENCY_PAUSE if number else 0.05)
        yield bodies.timed_event(number, time.monotonic())
    yield bodies.last_event("chunks")


async def _until_end(made: Prediction) -> AsyncIterator[bytes]:
    while (left := made.finishes_at - time.monotonic()) > 0:
        yield b": here\n\n"
        await _until(time.monotonic() + min(left, COMMENT_PAUSE))
    yield bodies.last_event("tokens")


async def _until(moment: float) -> None:
    """Wait until a time. A timer of the event loop may be early by a millisecond."""
    while (left := moment - time.monotonic()) > 0:  # noqa: ASYNC110 (no event: it is a time)
        await asyncio.sleep(left)


async def _blocks(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, len(BLOCK)):
        yield BLOCK if size - start >= len(BLOCK) else BLOCK[: size - start]
