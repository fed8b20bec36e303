"""A server on a real socket that says what a test tells it to, also what no server should."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from attrs import field, frozen


@frozen
class Received:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    items: tuple[tuple[str, str], ...] = ()
    """The headers one by one, also those that came twice."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@frozen
class Reply:
    """An answer; with `raw` exactly these bytes, after which the connection is closed.

    Attributes:
        drip: What follows `raw`, a piece each `drip_interval` seconds.
    """

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    after: float = 0.0
    drip: Sequence[bytes] = ()
    drip_interval: float = 0.0


def reply(body: Any = None, status: int = 200, **headers: str) -> Reply:
    """A JSON answer; `retry_after="1"` is the header `retry-after: 1`."""
    content = b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"content-type": "application/json", **named}, content)


DROP = Reply(raw=b"")
"""Close the connection without a word."""


def prediction(status: str = "starting", **fields: Any) -> dict[str, Any]:
    """A prediction as a server answers it."""
    return {
        "id": "p1",
        "model": "owner/name",
        "version": "v1",
        "status": status,
        "input": {},
        "output": None,
        "error": None,
        "logs": "",
        "created_at": "2026-01-02T03:04:05.678901234Z",
        "data_removed": False,
        "urls": {"get": "http://example.com/get", "cancel": "http://example.com/cancel"},
        **fields,
    }


Script = Callable[[Received], Reply]


class FakeServer:
    """The server: `requests` is what came in, `respond_with` what goes out."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self._closed = threading.Event()
        self._script: Script = lambda _: reply({"detail": "nothing scripted"}, 404)
        fake_server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                try:
                    self.raw_requestline = self.rfile.readline(65537)
                    if not self.raw_requestline or not self.parse_request():
                        self.close_connection = True
                        return
                    length = int(self.headers.get("content-length", 0))
                    body = self.rfile.read(length)
                    items = tuple(self.headers.items())
                    received = Received(self.command, self.path, dict(self.headers), body, items)
                    fake_server.requests.append(received)
                    self._answer(fake_server._script(received))
                except OSError:
                    self.close_connection = True

            def _answer(self, answer: Reply) -> None:
                if answer.after:
                    fake_server._closed.wait(answer.after)
                if answer.raw is not None:
                    self.wfile.write(answer.raw)
                    for piece in answer.drip:
                        fake_server._closed.wait(answer.drip_interval)
                        self.wfile.write(piece)
                    self.close_connection = True
                    return
                if "date" in answer.headers:
                    self.send_response_only(answer.status)
                else:
                    self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if answer.status != 204 and "content-length" not in answer.headers:
                    self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def respond_with(self, answers: Script | Reply | Iterable[Reply]) -> None:
        """Answer by a function, with one reply, or with replies in turn (the last one stays)."""
        if isinstance(answers, Reply):
            answers = [answers]
        if callable(answers):
            self._script = answers
            return
        queue = list(answers)
        self._script = lambda _: queue.pop(0) if len(queue) > 1 else queue[0]

    @property
    def asked(self) -> list[str]:
        """What came in, as `GET /v1/account`."""
        return [f"{received.method} {received.path}" for received in self.requests]

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        with socket.socket() as waking:
            waking.connect(self._server.server_address[:2])
            self._thread.join()
        self._server.server_close()

    def _serve(self) -> None:
        while not self._closed.is_set():
            self._server.handle_request()
