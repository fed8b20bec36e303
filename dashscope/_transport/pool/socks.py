"""Trace functions for SOCKS handshakes, so that a failed handshake leaves no socket open.

httpcore forgets the socket of a failed handshake, and lets errors of socksio through. A request
carries one of these functions as its extension `trace`, which corrects both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import anyio
import httpcore

Info: TypeAlias = Mapping[str, Any]

_STARTED: Final = "socks.setup_socks5_connection.started"
_FAILED: Final = "socks.setup_socks5_connection.failed"
_EXPECTED: Final = (httpcore.ProxyError, httpcore.NetworkError, httpcore.TimeoutException)


def async_handshake_trace() -> Callable[[str, Info], Awaitable[None]]:
    """Return the function for a request of an async client."""
    streams: list[httpcore.AsyncNetworkStream] = []

    async def trace(event: str, info: Info) -> None:
        if event == _STARTED:
            streams.append(info["stream"])
        elif event == _FAILED:
            with anyio.CancelScope(shield=True):
                await streams.pop().aclose()
            _raise_unexpected(info["exception"])

    return trace


def handshake_trace() -> Callable[[str, Info], None]:
    """Return the function for a request of a sync client."""
    streams: list[httpcore.NetworkStream] = []

    def trace(event: str, info: Info) -> None:
        if event == _STARTED:
            streams.append(info["stream"])
        elif event == _FAILED:
            streams.pop().close()
            _raise_unexpected(info["exception"])

    return trace


def _raise_unexpected(error: BaseException) -> None:
    if isinstance(error, Exception) and not isinstance(error, _EXPECTED):
        raise httpcore.ProxyError("the proxy does not answer as a SOCKS5 proxy does") from error
