"""A working proxy for HTTP and SOCKS, which records where it connects to."""

from __future__ import annotations

import socket
from typing import Any

import pproxy

from tests.servers.counting_server import Loop


class Proxy:
    """A real proxy, for HTTP and SOCKS. It finds every `.test` host on this machine.

    Attributes:
        seen: The addresses that it was asked to connect to.
    """

    def __init__(self, loop: Loop, user: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.seen: list[str] = []
        server = pproxy.Server(f"http+socks5://127.0.0.1:{self.port}{'#' + user if user else ''}")
        direct = pproxy.Connection("direct")
        connect = direct.open_connection

        def noted(host: str, port: int, *args: Any) -> Any:
            self.seen.append(f"{host}:{port}")
            return connect("127.0.0.1" if host.endswith(".test") else host, port, *args)

        direct.open_connection = noted
        self._handle = loop.run(server.start_server({"rserver": [direct], "verbose": nothing}))
        self._loop = loop

    def close(self) -> None:
        self._loop.loop.call_soon_threadsafe(self._handle.close)


def nothing(*args: object) -> None:
    pass
