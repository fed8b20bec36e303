"""A minimal HTTP/1.1 server on asyncio protocols."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import cast

from benchmarks.server.app import App

_REASONS = {200: "OK", 201: "Created", 202: "Accepted", 404: "Not Found"}
_COMMON = b"date: Sat, 31 Jan 2026 12:00:00 GMT\r\nserver: bench\r\nx-request-id: 0123456789\r\n"
_SHORT_BODY = 1 << 20
"""The number of bytes to keep of a body. Only the length of longer bodies (files) matters."""


class Connection(asyncio.Protocol):
    """A connection that responds to one request after another."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._fixed = _head(200, len(app.fixed)) + app.fixed
        self._buffer = b""
        self._request: tuple[str, str, dict[str, str]] | None = None
        self._left = 0
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:

        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        if self._request is None:
            if data.startswith(b"GET /v1/predictions/fixed ") and data.endswith(b"\r\n\r\n"):
                self._transport.write(self._fixed)
                return
            self._buffer += data
            if not self._read_head():
                return
            data, self._buffer = self._buffer, b""
        self._left -= len(data)
        if len(self._body) < _SHORT_BODY:
            self._body += data
        if self._left <= 0:
            request, self._request = self._request, None
            assert request is not None
            self._task = asyncio.create_task(self._answer(*request, bytes(self._body)))

    def _read_head(self) -> bool:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        start, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        method, path, _ = start.split(" ")
        self._request = method, path, headers
        self._left = int(headers.get("content-length", 0))
        self._body.clear()
        if headers.get("expect") == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._buffer = rest
        return True

    async def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        with suppress(ConnectionError):
            await self._app.handle(method, path, headers, body, self)

    def send(self, status: int, body: bytes, headers: Mapping[str, str] = {}) -> None:
        self._transport.write(_head(status, len(body), headers) + body)

    async def stream(
        self, headers: Mapping[str, str], pieces: AsyncIterator[bytes], length: int | None = None
    ) -> None:
        self._transport.write(_head(200, length, headers))
        async for piece in pieces:
            await self._writable.wait()
            if self._transport.is_closing():
                return
            self._transport.write(
                b"%x\r\n%b\r\n" % (len(piece), piece) if length is None else piece
            )
        if length is None:
            self._transport.write(b"0\r\n\r\n")


def _head(status: int, length: int | None, headers: Mapping[str, str] | None = None) -> bytes:
    fields = {"content-type": "application/json", **(headers or {})}
    if length is None:
        fields["transfer-encoding"] = "chunked"
    else:
        fields["content-length"] = str(length)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} {_REASONS[status]}\r\n{lines}".encode() + _COMMON + b"\r\n"
