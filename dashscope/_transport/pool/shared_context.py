"""An SSL context with which several threads open connections at the same time."""

from __future__ import annotations

import os
import socket
import ssl
import threading

_lock = threading.Lock()


class SharedContext:
    """An SSL context that httpcore uses in several threads.

    httpcore sets the protocols of the context before each handshake. `ssl` then frees the old list,
    even if a new TLS object in another thread is just copying it, without the GIL: its handshake
    would contain random bytes, and the server would reject it. Here a thread sets the protocols and
    creates its TLS object while no other thread does, and then does its handshake.

    Args:
        context: The context, not of a subclass, which may verify the handshake in `wrap_socket()`.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._protocols: list[str] = []

    def set_alpn_protocols(self, protocols: list[str]) -> None:
        """Set the protocols of the next connections. A route always has the same ones."""
        self._protocols = protocols

    def wrap_socket(self, sock: socket.socket, server_hostname: str | None) -> ssl.SSLSocket:
        """Start TLS on a connected socket."""
        with _lock:
            self._context.set_alpn_protocols(self._protocols)
            wrapped = self._context.wrap_socket(
                sock, server_hostname=server_hostname, do_handshake_on_connect=False
            )
        try:
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_hostname: str | None
    ) -> ssl.SSLObject:
        """Create a TLS object for a connection through a proxy that uses TLS itself."""
        with _lock:
            self._context.set_alpn_protocols(self._protocols)
            return self._context.wrap_bio(incoming, outgoing, server_hostname=server_hostname)


def _replace_lock() -> None:
    global _lock
    _lock = threading.Lock()  # another thread may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_lock)
