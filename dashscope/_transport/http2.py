"""Whether an HTTP/2 server processed a request whose connection or stream it closed.

A server that shuts down sends GOAWAY with the id of the last stream that it processed. A server
that has too much to do resets a stream with REFUSED_STREAM. In both cases RFC 9113 guarantees that
the request was not executed, so that even a create can be repeated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

Info: TypeAlias = Mapping[str, Any]

NOT_PROCESSED: Final = "the server closed the HTTP/2 connection without processing the request"
_REFUSED_STREAM: Final = 7
_HAS_STREAM: Final = "http2.send_request_headers.started"
_FIRST_STREAM: Final = 1


class StreamId:
    """Remembers the id of the stream on which httpcore sends a request.

    Attributes:
        id: The id, or the lowest possible one before it is known.
    """

    def __init__(self) -> None:
        self.id = _FIRST_STREAM

    def trace(self, inner: Callable[[str, Info], object] | None) -> Callable[[str, Info], None]:
        """Return a trace function for the request of a sync client, which also calls `inner`."""

        def trace(event: str, info: Info) -> None:
            self._see(event, info)
            if inner is not None:
                inner(event, info)

        return trace

    def async_trace(
        self, inner: Callable[[str, Info], Awaitable[object]] | None
    ) -> Callable[[str, Info], Awaitable[None]]:
        """Return a trace function for the request of an async client, which also calls `inner`."""

        async def trace(event: str, info: Info) -> None:
            self._see(event, info)
            if inner is not None:
                await inner(event, info)

        return trace

    def _see(self, event: str, info: Info) -> None:
        if event == _HAS_STREAM:
            self.id = info["stream_id"]


def is_not_processed(error: BaseException | None, stream_id: int = _FIRST_STREAM) -> bool:
    """Return whether an error says that the request on a stream was not processed.

    Args:
        error: The error of httpcore, or an error that it caused.
        stream_id: The id of the stream. Defaults to the lowest one.
    """
    while error is not None:
        reason: Any = error.args[0] if error.args else None
        # The events of h2, which is an optional dependency: ConnectionTerminated and StreamReset.
        last_stream_id = getattr(reason, "last_stream_id", None)
        if last_stream_id is not None:
            return bool(last_stream_id < stream_id)
        if hasattr(reason, "remote_reset"):
            return bool(reason.remote_reset) and reason.error_code == _REFUSED_STREAM
        error = error.__cause__ or error.__context__
    return False
