"""A proxy for one connection that violates its protocol in a scripted way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Talk = Callable[[socket.socket], None]


def respond_with(*answers: bytes) -> Talk:
    """Send these responses, one after each piece of data from the client."""

    def talk(connection: socket.socket) -> None:
        for answer in answers:
            connection.recv(65536)
            connection.sendall(answer)

    return talk


def close_after_request(connection: socket.socket) -> None:
    """Read the first data from the client, then close the connection."""
    connection.recv(65536)
    connection.shutdown(socket.SHUT_WR)


def send_nothing(connection: socket.socket) -> None:
    """Accept the connection and send nothing."""


GREETED = b"\x05\x00"
SOCKS = {
    "refuses": respond_with(GREETED, b"\x05\x05\x00\x01" + bytes(6)),
    "requires a password": respond_with(b"\x05\x02"),
    "accepts no method": respond_with(b"\x05\xff"),
    "speaks HTTP": respond_with(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "sends half a reply": respond_with(b"\x05"),
    "closes the connection": close_after_request,
    "sends an invalid reply": respond_with(GREETED, b"\x09\x09\x09"),
}
HTTP = {
    "refuses": respond_with(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"),
    "requires a password": respond_with(b"HTTP/1.1 407 Who are you\r\ncontent-length: 0\r\n\r\n"),
    "does not speak HTTP": respond_with(b"\x00\x01\r\n\r\n"),
    "closes the connection": close_after_request,
    "does not speak TLS": respond_with(b"HTTP/1.1 200 OK\r\n\r\n", b"hello, hello\r\n"),
}


@contextmanager
def proxy(talk: Talk) -> Iterator[tuple[int, threading.Event]]:
    """Run a proxy for one connection.

    Args:
        talk: What the proxy does: a value of `SOCKS` or `HTTP`, or a function of this module.

    Yields:
        The proxy's port, and an event that is set when the client has closed the connection.
    """
    closed = threading.Event()

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
            closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1], closed
        thread.join()
