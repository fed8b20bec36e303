"""Serve an ASGI application on a real socket, and connect clients that disconnect."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any, Self

import anyio
import hypercorn
import hypercorn.asyncio
import hypercorn.trio
import uvicorn

from tests.waiting import wait_until

with warnings.catch_warnings():
    # Starlette recommends a successor of httpx.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

__all__ = ["HypercornServer", "TestClient", "UvicornServer", "as_json", "events_of", "read_until"]


class SocketClient:
    """An application on a port of this machine, with plain sockets as clients."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connected(self, *, small_window: bool = False) -> socket.socket:
        """Return a connection that has sent nothing."""
        connection = socket.socket()
        if small_window:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", self.port))
        return connection

    @contextlib.contextmanager
    def send_request(
        self, method: str, path: str, body: bytes = b"", *, small_window: bool = False
    ) -> Iterator[socket.socket]:
        """Send a request and yield the connection. Exiting the block disconnects."""
        with self.connected(small_window=small_window) as connection:
            head = (
                f"{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(body)}\r\n"
                "content-type: application/json\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            yield connection


class HypercornServer(SocketClient):
    """An application that hypercorn serves in a thread, on asyncio or trio."""

    def __init__(self, app: Any, *, worker: str) -> None:
        self._app = app
        self._worker = worker
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._config = hypercorn.Config()
        self._config.bind = [f"fd://{self._socket.detach()}"]
        self._config.graceful_timeout = 5
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        serve = {"asyncio": hypercorn.asyncio.serve, "trio": hypercorn.trio.serve}[self._worker]

        async def until_left() -> None:
            while not self._ends.is_set():
                await anyio.sleep(0.02)

        async def run() -> None:
            await serve(self._app, self._config, shutdown_trigger=until_left)

        anyio.run(run, backend=self._worker)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ends.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


class UvicornServer(SocketClient):
    """An application that uvicorn serves in a thread, until the end of the block."""

    def __init__(self, app: Any, *, loop: Any = "asyncio", graceful_timeout: int = 5) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app, log_config=None, loop=loop, timeout_graceful_shutdown=graceful_timeout
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run)
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _run(self) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            await self._server.serve(sockets=[self._socket])

        try:
            self._server.config.get_loop_factory()
            with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
                runner.run(serve())
        except BaseException as error:
            self._failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: self._server.started or not self._thread.is_alive())
        assert self._failure is None
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._socket.close()
        if self._failure is not None:
            raise self._failure

    def limit_send_buffers(self) -> None:
        """Limit what the system buffers for each later connection. By default it is megabytes."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)

    def tasks(self) -> list[str]:
        """Return the running tasks of the server's loop, without those of the server."""
        loop = self._loop
        assert loop is not None

        async def check() -> list[str]:
            return [
                repr(task)
                for task in asyncio.all_tasks()
                if task is not asyncio.current_task()
                and not any(
                    own in repr(task) for own in ("Server.serve", "LifespanOn.main", "serve()")
                )
            ]

        return asyncio.run_coroutine_threadsafe(check(), loop).result(10)


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Read from a connection until `end` arrives."""
    data = b""
    while end not in data:
        piece = connection.recv(4096)
        assert piece, data
        data += piece
    return data


def events_of(text: str) -> list[tuple[str, str]]:
    """Parse server-sent events to their kind and data."""
    events = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line]
        fields = [(name, value) for name, _, value in lines if name]
        if fields:
            data = "\n".join(value for name, value in fields if name == "data")
            events.append((dict(fields).get("event", "message"), data))
    return events


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()
