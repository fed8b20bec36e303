"""A receiver of webhooks whose responses a test scripts."""

from __future__ import annotations

import contextlib
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple


class Received(NamedTuple):
    """A webhook request. `at` is its monotonic time of arrival."""

    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


class Receiver:
    """Receives webhooks.

    `respond_with()` scripts the statuses and headers of the responses.

    Attributes:
        received: All requests, in order.
        delay: Seconds before each response.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._responses: list[tuple[int, dict[str, str]]] = []
        self.delay = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.received.append(Received(headers, body, time.monotonic()))
                time.sleep(outer.delay)
                status, extra = outer._responses.pop(0) if outer._responses else (200, {})
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self.send_response(status)
                    for name, value in extra.items():
                        self.send_header(name, value)
                    self.send_header("content-length", "0")
                    self.end_headers()

            def do_GET(self) -> None:
                outer.received.append(Received({}, b'{"status": "followed"}', 0))

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def respond_with(self, *responses: tuple[int, dict[str, str]]) -> None:
        """Respond with these statuses and headers in turn, then with 200."""
        self._responses = list(responses)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def statuses(self) -> list[str]:
        return [received.json["status"] for received in self.received]
