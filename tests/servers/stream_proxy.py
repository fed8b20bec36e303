"""A proxy on a real socket, which does to a stream on its way what networks do."""

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
"""Passes an answer's bytes on to the client, in its way."""


class Proxy:
    """Passes requests on to a server, one a connection, and the answers back.

    Attributes:
        passed: the bytes of each of the stream's answers that came from the server.
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
        """An answer in which the server's URLs lead here."""
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
                    fault = self._faults.pop(0) if self._faults else whole
                    fault(_noted(answer, passed), client)
                else:
                    client.sendall(self._here(b"".join(answer)))


def _request(client: socket.socket) -> bytes:
    """A request as it is passed on: the server is to close the connection after its answer."""
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


def whole(answer: Iterator[bytes], client: socket.socket) -> None:
    """All of it."""
    for piece in answer:
        client.sendall(piece)


def cut(length: int) -> Fault:
    """The first bytes of it, and then the end."""

    def fault(answer: Iterator[bytes], client: socket.socket) -> None:
        _pass(answer, client, length)

    return fault


def reset(length: int) -> Fault:
    """The first bytes of it, and then no more of the connection, and maybe not even those."""

    def fault(answer: Iterator[bytes], client: socket.socket) -> None:
        _pass(answer, client, length)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return fault


def stalled(length: int) -> Fault:
    """The first bytes of it, and then nothing more, until the client goes."""

    def fault(answer: Iterator[bytes], client: socket.socket) -> None:
        _pass(answer, client, length)
        select.select([client], [], [], 10)

    return fault


def trickled(answer: Iterator[bytes], client: socket.socket) -> None:
    """All of it, byte by byte."""
    for piece in answer:
        for at in range(len(piece)):
            client.sendall(piece[at : at + 1])


def _pass(answer: Iterator[bytes], client: socket.socket, length: int) -> None:
    # Also for no bytes at all, the server has to have answered.
    for piece in answer:
        client.sendall(piece[:length])
        length -= len(piece)
        if length <= 0:
            return
