"""A working proxy for HTTP and SOCKS that records its destinations."""

from __future__ import annotations

import socket
from typing import Any

import pproxy

from tests.servers.counting_server import LoopThread


class Proxy:
    """A real proxy for HTTP and SOCKS. It resolves every `.test` host to this machine.

    Attributes:
        destinations: The addresses that clients requested, as `host:port`.
    """

    def __init__(self, loop: LoopThread, user: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.destinations: list[str] = []
        server = pproxy.Server(f"http+socks5://127.0.0.1:{self.port}{'#' + user if user else ''}")
        direct = pproxy.Connection("direct")
        connect = direct.open_connection

        def open_connection(host: str, port: int, *args: Any) -> Any:
            self.destinations.append(f"{host}:{port}")
            return connect("127.0.0.1" if host.endswith(".test") else host, port, *args)

        direct.open_connection = open_connection
        self._handle = loop.run(server.start_server({"rserver": [direct], "verbose": nothing}))
        self._loop = loop

    def close(self) -> None:
        self._loop.loop.call_soon_threadsafe(self._handle.close)


def nothing(*args: object) -> None:
    pass
