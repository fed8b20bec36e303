"""A server of one prediction whose stream is scripted by the test."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.fake_server import Received, prediction
from tests.servers.stream_events import SentEvent, encoded, events_after
from tests.stopwatch import Elapsed, Stopwatch

CREATE = "POST /v1/models/owner/name/predictions"
POLL = "GET /v1/predictions/p1"
CANCEL = "POST /v1/predictions/p1/cancel"
TIMEOUT = 30.0
"""Seconds to wait for the client to close a connection."""


class StreamConnection:
    """The server's end of a connection of the stream.

    Attributes:
        number: The number of the connection, counted from 1.
        headers: The headers of the request, in lowercase.
        opened: A stopwatch that was started when the request arrived.
        closed_at: Monotonic time at which the client closed the connection.
    """

    def __init__(self, sock: socket.socket, number: int, headers: Mapping[str, str]) -> None:
        self._sock = sock
        self.number = number
        self.headers = headers
        self.opened = Stopwatch()
        self.closed_at: float | None = None
        self._closed = threading.Event()
        self._chunked = False

    @property
    def closed(self) -> bool:
        """Whether the client closed the connection. The script must call `wait_closed()`."""
        return self._closed.wait(TIMEOUT)

    @property
    def last_id(self) -> str | None:
        """The `Last-Event-ID` header of the request."""
        return self.headers.get("last-event-id")

    def answer(self, status: int, body: Any = None, **headers: str) -> None:
        """Send a JSON response instead of a stream."""
        content = b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if status != 204:
            named["content-length"] = str(len(content))
        self._head(status, {"content-type": "application/json", **named})
        self.raw(content)

    def open(self, kind: str = "text/event-stream", *, chunked: bool = True) -> None:
        """Send the response's head. Without `chunked`, the body ends with the connection."""
        self._chunked = chunked
        self._head(
            200, {"content-type": kind, **({"transfer-encoding": "chunked"} if chunked else {})}
        )

    def send(self, *parts: bytes | SentEvent) -> None:
        """Send bytes or events, each in a separate write."""
        for part in parts:
            data = part if isinstance(part, bytes) else part.encoded()
            if data:
                self.raw(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """Send the last chunk. The connection stays open."""
        if self._chunked:
            self.raw(b"0\r\n\r\n")

    def raw(self, data: bytes) -> None:
        """Send bytes without chunk framing."""
        self._sock.sendall(data)

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """Reset the connection, as if the machine had crashed."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def wait_closed(self, seconds: float = TIMEOUT) -> bool:
        """Wait until the client closes the connection, and return whether it did."""
        with contextlib.suppress(OSError):
            if not select.select([self._sock], [], [], seconds)[0]:
                return False
            if self._sock.recv(1):
                return False
        self.closed_at = time.monotonic()
        self._closed.set()
        return True

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        lines = [f"HTTP/1.1 {status} Scripted", "connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())


Script = Callable[[StreamConnection], None]


class StreamServer:
    """Serves one prediction: create, poll, cancel and stream.

    `respond_with()` scripts the connections of the stream, with the scripts at the end of this
    module or with a function of a `StreamConnection`. `delays` and `failures` change the responses
    to other requests.

    Attributes:
        requests: All requests, in order.
        connections: The connections of the stream, in order.
        pauses: The time from each connection of the stream to the next.
        streams: Whether the prediction has a `urls.stream`.
        stream_url: The value of `urls.stream`. Defaults to this server.
        state: The prediction that polls return.
        delays: Seconds before the response to a request, by `GET /v1/predictions/p1`.
        failures: Error statuses to respond with, by `GET /v1/predictions/p1`.
    """

    def __init__(self) -> None:
        self.reset()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        self.stream_url = f"{self.origin}/streams/p1"

    def reset(self) -> None:
        """Forget all requests and scripts."""
        self.requests: list[Received] = []
        self.connections: list[StreamConnection] = []
        self.pauses: list[Elapsed] = []
        self.streams = True
        self.state: dict[str, Any] = prediction("processing")
        self.delays: dict[str, float] = {}
        self.failures: dict[str, int] = {}
        self._scripts: list[Script] = []

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    def respond_with(self, *scripts: Script) -> None:
        """Run these scripts for the connections of the stream, in turn. The last one repeats."""
        self._scripts = list(scripts)

    def finish(self, status: str = "succeeded", **fields: Any) -> None:
        """Give the prediction a terminal status and these fields."""
        self.state = prediction(status, **fields)

    @property
    def request_lines(self) -> list[str]:
        return [f"{received.method} {received.path}" for received in self.requests]

    @property
    def cancels(self) -> int:
        """The number of cancel requests."""
        return self.request_lines.count(CANCEL)

    @property
    def last_ids(self) -> list[str | None]:
        """The `Last-Event-ID` of each connection."""
        return [connection.last_id for connection in self.connections]

    def close(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        with socket.socket() as waking:
            waking.connect(self._server.server_address[:2])
            self._thread.join()
        self._server.server_close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while not self._closed.is_set():
            self._server.handle_request()

    def answer(self, received: Received, sock: socket.socket) -> tuple[bytes, int] | None:
        """Return the JSON response to a request, or `None` if a script served the stream."""
        self.requests.append(received)
        line = f"{received.method} {received.path}"
        if line in self.failures:
            return json.dumps({"detail": "It does not work."}).encode(), self.failures[line]
        self._closed.wait(self.delays.get(line, 0.0))
        match received.method, received.path:
            case "POST", "/v1/models/owner/name/predictions" | "/v1/predictions":
                return self._shown(prediction(), 201)
            case "POST", "/v1/predictions/p1/cancel":
                if self.state["status"] == "processing":
                    self.state["status"] = "canceled"
                return self._shown(self.state)
            case "GET", "/v1/predictions/p1":
                return self._shown(self.state)
            case "GET", "/streams/p1":
                headers = {name.lower(): value for name, value in received.headers.items()}
                with self._lock:
                    if self.connections:
                        self.pauses.append(self.connections[-1].opened.elapsed())
                    connection = StreamConnection(sock, len(self.connections) + 1, headers)
                    self.connections.append(connection)
                script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                script(connection)
                return None
        return json.dumps({"detail": "Not found."}).encode(), 404

    def _shown(self, state: dict[str, Any], status: int = 200) -> tuple[bytes, int]:
        urls = dict(state["urls"])
        if self.streams:
            urls["stream"] = self.stream_url
        return json.dumps({**state, "urls": urls}).encode(), status

    def note(self, sock: socket.socket, *, opened: bool) -> None:
        with self._lock:
            (self._open.add if opened else self._open.discard)(sock)


class _Server(ThreadingHTTPServer):
    request_queue_size = 256
    block_on_close = False
    daemon_threads = True

    def __init__(self, model: StreamServer) -> None:
        self.model = model
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        self.server.model.note(self.connection, opened=True)
        try:
            super().handle()
        finally:
            self.server.model.note(self.connection, opened=False)

    def handle_one_request(self) -> None:
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            received = Received(self.command, self.path, dict(self.headers), body)
            answer = self.server.model.answer(received, self.connection)
            if answer is None:
                self.close_connection = True
                return
            content, status = answer
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


def complete(*parts: bytes | SentEvent) -> Script:
    """Send a complete stream."""

    def script(connection: StreamConnection) -> None:
        connection.open()
        connection.send(*parts)
        connection.end()

    return script


def cut_off(*parts: bytes | SentEvent) -> Script:
    """Send the start of a stream, then close the connection without the last chunk."""

    def script(connection: StreamConnection) -> None:
        connection.open()
        connection.send(*parts)
        connection.close()

    return script


def hold_open(*parts: bytes | SentEvent) -> Script:
    """Send the start of a stream, then stay silent until the client closes the connection."""

    def script(connection: StreamConnection) -> None:
        connection.open()
        connection.send(*parts)
        connection.wait_closed(60)

    return script


def resume_after_last_id(events: Iterable[SentEvent]) -> Script:
    """Send the events after the `Last-Event-ID` of the request, as a resuming server does."""
    events = list(events)
    return lambda connection: complete(encoded(events_after(events, connection.last_id)))(
        connection
    )


def fail_with(status: int, body: Any = None, **headers: str) -> Script:
    """Respond with an error status."""
    return lambda connection: connection.answer(status, body, **headers)
