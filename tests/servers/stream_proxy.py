"""A proxy that breaks the connections of a stream."""

from __future__ import annotations

import contextlib
import re
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

Fault = Callable[[Iterator[bytes], socket.socket], None]
"""Forwards the bytes of a response to the client, or fails to."""


class Proxy:
    """Forwards each request to a server, and the response back.

    `inject()` breaks the next connections of the stream, with the faults of this module.

    Attributes:
        passed: The bytes that the server sent for each connection of the stream.
    """

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self._server = (parts.hostname, parts.port)
        self._path = parts.path
        self._faults: list[Fault] = []
        self.passed: list[bytearray] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def inject(self, faults: Iterable[Fault]) -> None:
        """Apply these faults to the next connections of the stream, in turn."""
        self._faults = list(faults)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def base_url(self) -> str:
        return self.origin + self._path

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _here(self, answer: bytes) -> bytes:
        """Replace the server's URLs in a response by those of the proxy."""
        theirs = b"http://%b:%d" % (str(self._server[0]).encode(), self._server[1])
        ours = self.origin.encode()
        assert len(ours) == len(theirs), "the answer's length would not be what it says"
        return answer.replace(theirs, ours)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            request = _request(client)
            if not request:
                return
            with socket.create_connection(self._server) as server:
                server.sendall(request)
                answer = iter(lambda: server.recv(65536), b"")
                if re.match(rb"GET [^ ]*/streams/", request):
                    passed = bytearray()
                    self.passed.append(passed)
                    fault = self._faults.pop(0) if self._faults else pass_all
                    fault(_noted(answer, passed), client)
                else:
                    client.sendall(self._here(b"".join(answer)))


def _request(client: socket.socket) -> bytes:
    """Read a request, and ask the server to close the connection after the response."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        if not piece:
            return b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    while len(body) < int(length[1] if length else 0):
        body += client.recv(65536)
    head = re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", head)
    return head + b"\r\nConnection: close\r\n\r\n" + body


def _noted(answer: Iterator[bytes], passed: bytearray) -> Iterator[bytes]:
    for piece in answer:
        passed += piece
        yield piece


def pass_all(answer: Iterator[bytes], client: socket.socket) -> None:
    """Forward the whole response."""
    for piece in answer:
        client.sendall(piece)


def cut_after(length: int) -> Fault:
    """Forward the first `length` bytes, then close the connection."""

    def fault(answer: Iterator[bytes], client: socket.socket) -> None:
        _pass(answer, client, length)

    return fault


def reset_after(length: int) -> Fault:
    """Forward the first `length` bytes, then reset the connection. The bytes may get lost."""

    def fault(answer: Iterator[bytes], client: socket.socket) -> None:
        _pass(answer, client, length)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return fault


def stall_after(length: int) -> Fault:
    """Forward the first `length` bytes, then stay silent until the client disconnects."""

    def fault(answer: Iterator[bytes], client: socket.socket) -> None:
        _pass(answer, client, length)
        select.select([client], [], [], 10)

    return fault


def byte_by_byte(answer: Iterator[bytes], client: socket.socket) -> None:
    """Forward the whole response, one byte at a time."""
    for piece in answer:
        for at in range(len(piece)):
            client.sendall(piece[at : at + 1])


def _pass(answer: Iterator[bytes], client: socket.socket, length: int) -> None:
    # Wait for the server's response even if no bytes are forwarded.
    for piece in answer:
        client.sendall(piece[:length])
        length -= len(piece)
        if length <= 0:
            return
