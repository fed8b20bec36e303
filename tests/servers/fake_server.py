"""An HTTP server whose responses a test scripts, including invalid ones."""

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
    """All headers in order, including repeated ones."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@frozen
class Reply:
    """A response.

    Attributes:
        raw: Send exactly these bytes instead, then close the connection.
        delay: Seconds to wait before sending the response.
        drip: Pieces to send after `raw`, one every `drip_interval` seconds.
    """

    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    delay: float = 0.0
    drip: Sequence[bytes] = ()
    drip_interval: float = 0.0


def reply(body: Any = None, status: int = 200, **headers: str) -> Reply:
    """Return a JSON response. Keyword arguments are headers: `retry_after="1"`."""
    content = b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"content-type": "application/json", **named}, content)


DROP = Reply(raw=b"")
"""Close the connection without sending a response."""


def prediction(status: str = "starting", **fields: Any) -> dict[str, Any]:
    """Return the JSON object of a prediction."""
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
    """A server that records requests and sends scripted responses.

    `respond_with()` is the only way to make the server misbehave: script a status, a delay, raw
    bytes, or `DROP`. Without a script, every response is a 404.

    Attributes:
        requests: All requests so far, in order.
    """

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
                    self._send(fake_server._script(received))
                except OSError:
                    self.close_connection = True

            def _send(self, response: Reply) -> None:
                if response.delay:
                    fake_server._closed.wait(response.delay)
                if response.raw is not None:
                    self.wfile.write(response.raw)
                    for piece in response.drip:
                        fake_server._closed.wait(response.drip_interval)
                        self.wfile.write(piece)
                    self.close_connection = True
                    return
                if "date" in response.headers:
                    self.send_response_only(response.status)
                else:
                    self.send_response(response.status)
                for name, value in response.headers.items():
                    self.send_header(name, value)
                if response.status != 204 and "content-length" not in response.headers:
                    self.send_header("content-length", str(len(response.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(response.body)

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

    def respond_with(self, responses: Script | Reply | Iterable[Reply]) -> None:
        """Set the responses.

        Args:
            responses: A reply for all requests, replies to send in turn (the last one repeats), or
                a function that returns the reply to a request.
        """
        if isinstance(responses, Reply):
            responses = [responses]
        if callable(responses):
            self._script = responses
            return
        queue = list(responses)
        self._script = lambda _: queue.pop(0) if len(queue) > 1 else queue[0]

    @property
    def request_lines(self) -> list[str]:
        """The method and path of each request, such as `GET /v1/account`."""
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
