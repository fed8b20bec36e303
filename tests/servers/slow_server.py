"""Servers that keep a connection open without making progress."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.servers.fake_server import prediction

PACE = 0.05
"""Seconds between two bytes: short enough that no single read times out."""

Talk = Callable[[socket.socket, "SlowServer"], None]


class SlowServer:
    """Runs a script for each connection, in a thread.

    The scripts are functions of this module: pass one to the constructor.

    Args:
        talk: The script.
        scheme: The scheme of the base URL.

    Attributes:
        request_lines: The method and path of each request.
        over: Set when the server closes.
    """

    def __init__(self, talk: Talk, scheme: str = "http") -> None:
        self._talk = talk
        self.over = threading.Event()
        self.request_lines: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.origin = f"{scheme}://127.0.0.1:{self._socket.getsockname()[1]}"
        self.base_url = f"{self.origin}/v1"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            if self.over.is_set():
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ssl.SSLError):
            self._talk(connection, self)

    def close(self) -> None:
        self.over.set()
        with socket.create_connection(self._socket.getsockname()):
            pass
        for thread in list(self._threads):
            thread.join()
        self._socket.close()

    def drip(self, connection: socket.socket, data: bytes) -> None:
        """Send one byte every `PACE` seconds, and repeat the last one forever."""
        number = 0
        while not self.over.wait(PACE):
            connection.sendall(data[number : number + 1] or data[-1:])
            number = min(number + 1, len(data))

    def request(self, connection: socket.socket) -> str:
        """Read a request, record its method and path, and return them."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                raise ConnectionError
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(body) < length:
            body += connection.recv(65536)
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.request_lines.append(f"{method} {path}")
        return self.request_lines[-1]


def silent(connection: socket.socket, server: SlowServer) -> None:
    """Accept the connection and send nothing, not even a TLS handshake."""
    server.over.wait()


def slow_handshake(connection: socket.socket, server: SlowServer) -> None:
    """Send a TLS record one byte at a time."""
    server.drip(connection, b"\x16\x03\x03\x20\x00\x02\x00\x1f\xfc\x03\x03" + b"\x00" * 1000)


def slow_head(connection: socket.socket, server: SlowServer) -> None:
    """Send headers one byte at a time."""
    server.request(connection)
    server.drip(connection, b"HTTP/1.1 200 OK\r\nx-slow: " + b"a" * 1000)


def slow_body(connection: socket.socket, server: SlowServer) -> None:
    """Send a body one byte at a time."""
    server.request(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    server.drip(connection, b'{"username": "a')


def never_reads(connection: socket.socket, server: SlowServer) -> None:
    """Accept the connection and read nothing."""
    server.over.wait()


def reads_slowly(connection: socket.socket, server: SlowServer) -> None:
    """Read the request slowly."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    while not server.over.wait(PACE / 4):
        connection.recv(20_000)


def create_then_slow(then: str) -> Talk:
    """Respond to creates at once. Send the `head` or `body` of all other responses slowly."""

    def talk(connection: socket.socket, server: SlowServer) -> None:
        while True:
            line = server.request(connection)
            if not line.endswith("/predictions"):
                break
            state = prediction("processing", urls={"stream": f"{server.origin}/streams/p1"})
            body = json.dumps(state).encode()
            head = f"HTTP/1.1 201 Created\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
        if then == "head":
            server.drip(connection, b"HTTP/1.1 200 OK\r\nx-slow: " + b"a" * 1000)
        elif line.startswith("GET /streams/"):
            kind = b"content-type: text/event-stream\r\n"
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + kind + b"content-length: 100000\r\n\r\n")
            server.drip(connection, b": nothing to say so far")
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            server.drip(connection, b'{"id": "p')

    return talk


@contextmanager
def never_accepting(host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Yield the base URL of a socket whose backlog is full, so that no connection succeeds."""
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind((host, port))
        listening.listen(0)
        address = listening.getsockname()
        for _ in range(4):
            filling = stack.enter_context(socket.socket())
            filling.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                filling.connect(address)
        time.sleep(0.05)
        yield f"http://{host}:{address[1]}/v1"
