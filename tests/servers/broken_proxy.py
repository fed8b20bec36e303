"""A proxy for one connection that violates its protocol in a scripted way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Talk = Callable[[socket.socket], None]


def answering(*answers: bytes) -> Talk:
    def talk(connection: socket.socket) -> None:
        for answer in answers:
            connection.recv(65536)
            connection.sendall(answer)

    return talk


def hangs_up(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.shutdown(socket.SHUT_WR)


def is_silent(connection: socket.socket) -> None:
    pass


GREETED = b"\x05\x00"
SOCKS = {
    "refuses": answering(GREETED, b"\x05\x05\x00\x01" + bytes(6)),
    "wants a password": answering(b"\x05\x02"),
    "has no method": answering(b"\x05\xff"),
    "speaks HTTP": answering(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "breaks off": answering(b"\x05"),
    "hangs up": hangs_up,
    "answers with nonsense": answering(GREETED, b"\x09\x09\x09"),
}
HTTP = {
    "refuses": answering(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
    "wants a password": answering(b"HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n"),
    "speaks something else": answering(b"\x00\x01\r\n\r\n"),
    "hangs up": hangs_up,
    "speaks no TLS": answering(b"HTTP/1.1 200 OK\r\n\r\n", b"hello, hello\r\n"),
}


@contextmanager
def proxy(talk: Talk) -> Iterator[tuple[int, threading.Event]]:
    """Its port, and whether its connection is over, from the other side."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(10)
            try:
                talk(connection)
                while connection.recv(65536):
                    pass
            except ConnectionError:
                pass
            over.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], over
        thread.join()
