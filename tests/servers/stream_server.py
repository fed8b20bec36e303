"""A model that streams, on a real socket: what its stream says, and how it breaks, is scripted."""

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
from tests.servers.stream_events import Sent, after, encoded
from tests.stopwatch import Lasted, Stopwatch

CREATE = "POST /v1/models/owner/name/predictions"
LOOK = "GET /v1/predictions/p1"
CANCEL = "POST /v1/predictions/p1/cancel"
TIMEOUT = 30.0
"""Seconds within which the client has to do what a test waits for."""


class Link:
    """A connection of the stream, at the server's end."""

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
        """Whether the client closed it, or does so soon; the script has to wait for it."""
        return self._closed.wait(TIMEOUT)

    @property
    def last_id(self) -> str | None:
        """The `Last-Event-ID` that it was asked with."""
        return self.headers.get("last-event-id")

    def answer(self, status: int, body: Any = None, **headers: str) -> None:
        """Answer with something that is no stream, and close."""
        content = b"" if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if status != 204:
            named["content-length"] = str(len(content))
        self._head(status, {"content-type": "application/json", **named})
        self.raw(content)

    def open(self, kind: str = "text/event-stream", *, chunked: bool = True) -> None:
        """Begin the stream: in chunks, or as all that comes until the connection ends."""
        self._chunked = chunked
        self._head(
            200, {"content-type": kind, **({"transfer-encoding": "chunked"} if chunked else {})}
        )

    def send(self, *parts: bytes | Sent) -> None:
        """Send bytes or events of the stream, each in a write of its own."""
        for part in parts:
            data = part if isinstance(part, bytes) else part.encoded()
            if data:
                self.raw(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def end(self) -> None:
        """End the stream as HTTP has it; what the connection then does, is another matter."""
        if self._chunked:
            self.raw(b"0\r\n\r\n")

    def raw(self, data: bytes) -> None:
        self._sock.sendall(data)

    def cut(self) -> None:
        """End the connection here."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def reset(self) -> None:
        """End the connection here, as a machine does that went down."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    def wait_closed(self, seconds: float = TIMEOUT) -> bool:
        """Wait until the client closes the connection; did it?"""
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


Script = Callable[[Link], None]


class StreamServer:
    """Creates one prediction, shows and cancels it, and streams it as the scripts say.

    Attributes:
        requests: what came in.
        links: the stream's connections.
        pauses: how long it was from each of them to the next.
        streams: whether the prediction has a `urls.stream`.
        stream_url: where it is streamed, by default here.
        state: the prediction, as a look at it shows it.
        delays: seconds that the answer to a request takes, by `GET /v1/predictions/p1`.
        failures: statuses that requests are answered with instead, likewise.
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
        """Forget what was requested and scripted."""
        self.requests: list[Received] = []
        self.links: list[Link] = []
        self.pauses: list[Lasted] = []
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
        """Serve the connections of the stream with these scripts in turn. The last one stays."""
        self._scripts = list(scripts)

    def ends(self, status: str = "succeeded", **fields: Any) -> None:
        """From now on the prediction is over, and has these fields."""
        self.state = prediction(status, **fields)

    @property
    def asked(self) -> list[str]:
        return [f"{received.method} {received.path}" for received in self.requests]

    @property
    def cancels(self) -> int:
        """How often the prediction was cancelled."""
        return self.asked.count(CANCEL)

    @property
    def last_ids(self) -> list[str | None]:
        """The `Last-Event-ID` of each connection."""
        return [link.last_id for link in self.links]

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
        """A JSON answer to a request, or none to one for the stream."""
        self.requests.append(received)
        asked = f"{received.method} {received.path}"
        if asked in self.failures:
            return json.dumps({"detail": "It does not work."}).encode(), self.failures[asked]
        self._closed.wait(self.delays.get(asked, 0.0))
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
                    if self.links:
                        self.pauses.append(self.links[-1].opened.now())
                    link = Link(sock, len(self.links) + 1, headers)
                    self.links.append(link)
                script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                script(link)
                return None
        return json.dumps({"detail": "There is no such thing."}).encode(), 404

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


def whole(*parts: bytes | Sent) -> Script:
    """The stream from its begin to its end."""

    def script(link: Link) -> None:
        link.open()
        link.send(*parts)
        link.end()

    return script


def cut(*parts: bytes | Sent) -> Script:
    """The begin of a stream, and then the connection is gone."""

    def script(link: Link) -> None:
        link.open()
        link.send(*parts)
        link.cut()

    return script


def held(*parts: bytes | Sent) -> Script:
    """The begin of a stream, and then nothing more until the client goes."""

    def script(link: Link) -> None:
        link.open()
        link.send(*parts)
        link.wait_closed(60)

    return script


def resumed(events: Iterable[Sent]) -> Script:
    """What a server sends that resumes: the events after the one that the client names."""
    events = list(events)
    return lambda link: whole(encoded(after(events, link.last_id)))(link)


def refused(status: int, body: Any = None, **headers: str) -> Script:
    """An answer with an error."""
    return lambda link: link.answer(status, body, **headers)
