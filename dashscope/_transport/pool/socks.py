"""Greeting a SOCKS proxy, such that a greeting that fails leaves nothing open.

httpcore forgets the socket, and lets errors of the library beneath it through. Both are mended
where it tells of its steps: what is made here, a request takes along as its extension `trace`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import anyio
import httpcore

Info: TypeAlias = Mapping[str, Any]

_STARTED: Final = "socks.setup_socks5_connection.started"
_FAILED: Final = "socks.setup_socks5_connection.failed"
_KNOWN: Final = (httpcore.ProxyError, httpcore.NetworkError, httpcore.TimeoutException)


def greeting() -> Callable[[str, Info], Awaitable[None]]:
    """For a request of an async client."""
    streams: list[httpcore.AsyncNetworkStream] = []

    async def trace(event: str, info: Info) -> None:
        if event == _STARTED:
            streams.append(info["stream"])
        elif event == _FAILED:
            with anyio.CancelScope(shield=True):
                await streams.pop().aclose()
            _check_known(info["exception"])

    return trace


def blocking_greeting() -> Callable[[str, Info], None]:
    """For a request of a blocking client."""
    streams: list[httpcore.NetworkStream] = []

    def trace(event: str, info: Info) -> None:
        if event == _STARTED:
            streams.append(info["stream"])
        elif event == _FAILED:
            streams.pop().close()
            _check_known(info["exception"])

    return trace


def _check_known(error: BaseException) -> None:
    if isinstance(error, Exception) and not isinstance(error, _KNOWN):
        raise httpcore.ProxyError("the proxy does not answer as a SOCKS5 proxy does") from error
