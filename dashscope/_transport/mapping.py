"""Our requests to httpx's, its responses and errors to ours."""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from functools import cache, lru_cache
from types import ModuleType
from typing import Any, Final, cast

import httpcore
import httpx
import idna

from dashscope._common.deadline import Deadline
from dashscope._common.secrets import Token, scrub
from dashscope._common.urls import InvalidURLError, shown
from dashscope._errors import APIConnectionError, APIResponseError, APITimeoutError
from dashscope._transport.http2 import is_not_processed
from dashscope._transport.multipart import MultipartBody
from dashscope.types.http import SILENCE_TIMEOUT, Headers, Request

CONNECT_TIMEOUT: Final = 10.0
ACCEPTED_ENCODINGS: Final = "gzip, deflate"

_NEVER_SENT: Final = frozenset(
    {
        "ConnectError",
        "ConnectTimeout",
        "ConnectionNotAvailable",
        "PoolTimeout",
        "ProxyError",
        "UnsupportedProtocol",
    }
)
"""The errors of httpcore, httpx and httpx2 have the same names."""
_DEFAULT_HEADERS: Final = (
    ("accept", (b"Accept", b"*/*")),
    ("accept-encoding", (b"Accept-Encoding", ACCEPTED_ENCODINGS.encode())),
)

RawHeaders = list[tuple[bytes, bytes]]


class _NoBody(httpx.ByteStream):
    """No body. httpx's own has one piece, which h11 would encode and send.

    Logfire reads the first piece of `__iter__`, so only the async iterator has none.
    """

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _OnePiece(None)


_NO_BODY: Final = _NoBody(b"")


SEND_STATE: Final = "dashscope.send_state"
"""The extension of a request with its `SendState`, which our connection pool updates."""


class SendState:
    """How far a request got. An unknown state counts as begun.

    Attributes:
        has_begun: Whether a part of it that the server could act on may have been sent.
    """

    __slots__ = ("has_begun",)

    def __init__(self) -> None:
        self.has_begun = True


def build(
    request: Request,
    token: Token | None,
    content: Any,
    multipart: MultipartBody | None,
    timeouts: Mapping[str, float | None],
    state: SendState,
) -> httpx.Request:
    """Build the request for a client of our own.

    Raises:
        InvalidURLError: If the URL cannot be requested.
    """
    url = _parsed(request.url)
    headers = raw_headers(request, multipart, token)
    if not any(name.lower() == "host" for name in request.headers):
        headers.insert(0, (b"Host", url.netloc))
    if isinstance(content, bytes):
        headers.append((b"Content-Length", b"%d" % len(content)))
    elif content is None and request.method in ("POST", "PUT", "PATCH"):
        headers.append((b"Content-Length", b"0"))
    stream = httpx.ByteStream(content) if isinstance(content, bytes) else _NO_BODY
    # With `stream=`, httpx does not look for what it could add to the headers.
    built = httpx.Request(
        request.method,
        url,
        headers=headers,
        stream=stream,
        extensions={"timeout": timeouts, SEND_STATE: state},
    )
    if multipart is None:
        built.read()  # so that tools can read `request.content`
    built.stream = _body(httpx, content, state) or stream
    return built


def build_for(
    client: Any,
    library: ModuleType,
    request: Request,
    token: Token | None,
    content: Any,
    multipart: MultipartBody | None,
    timeouts: Mapping[str, float | None],
    state: SendState,
) -> Any:
    """Build the request for a caller's client, which adds its own headers, cookies and query.

    Raises:
        InvalidURLError: If the URL cannot be requested.
    """
    try:
        built = client.build_request(
            request.method,
            request.url,
            headers=raw_headers(request, multipart, token),
            content=content,
            timeout=(timeouts["connect"], timeouts["read"], timeouts["write"], timeouts["pool"]),
        )
        _ = built.url.host  # the client asks for it, and does not expect an error
    except (library.InvalidURL, UnicodeError) as error:  # the latter for some host names
        raise _invalid_url(request.url, error) from None
    built.stream = _body(library, content, state) or built.stream
    return built


def _body(library: ModuleType, content: Any, state: SendState) -> Any:
    """Return the stream to send `content` with, or `None` without content."""
    if content is None:
        return None
    if isinstance(content, bytes):
        return _recorded_body(library)(content, state)
    return _streamed_body(library)(content)


@cache
def _recorded_body(library: ModuleType) -> type[Any]:
    """Return the class of bodies that record that they are sent.

    Tools look for a `ByteStream`, and a client accepts only one of its own library.
    """
    byte_stream: type[Any] = library.ByteStream

    class RecordedBody(byte_stream):  # type: ignore[misc]
        def __init__(self, content: bytes, state: SendState) -> None:
            base: Any = super()
            base.__init__(content)
            self._content = content
            self._state = state
            state.has_begun = False  # without its body, the server has half a request

        def __iter__(self) -> Iterator[bytes]:
            self._state.has_begun = True
            return iter((self._content,))

        def __aiter__(self) -> AsyncIterator[bytes]:
            self._state.has_begun = True
            # A generator would be left open (which trio reports) if sending fails.
            return _OnePiece(self._content)

    return RecordedBody


@cache
def _streamed_body(library: ModuleType) -> type[Any]:
    """Return the class of bodies that are produced while they are sent.

    httpx's own starts a second generator, which is left open (as above) if sending fails.
    """
    sync_stream: type[Any] = library.SyncByteStream
    async_stream: type[Any] = library.AsyncByteStream

    class StreamedBody(sync_stream, async_stream):  # type: ignore[misc]
        def __init__(self, pieces: Any) -> None:
            self._pieces = pieces

        def __iter__(self) -> Iterator[bytes]:
            return iter(self._pieces)

        def __aiter__(self) -> AsyncIterator[bytes]:
            return aiter(self._pieces)

    return StreamedBody


class _OnePiece(AsyncIterator[bytes]):
    __slots__ = ("_content",)

    def __init__(self, content: bytes | None) -> None:
        self._content = content

    async def __anext__(self) -> bytes:
        content, self._content = self._content, None
        if content is None:
            raise StopAsyncIteration
        return content


def raw_headers(
    request: Request, multipart: MultipartBody | None, token: Token | None
) -> RawHeaders:
    """Return the headers that we set, as they are sent.

    A value beyond ASCII (an ETag or an event id of the server's) is sent as UTF-8.
    """
    headers = {
        name.lower(): (name.encode("ascii"), value.encode("utf-8", "surrogateescape"))
        for name, value in request.headers.items()
    }
    found = [pair for name, pair in _DEFAULT_HEADERS if name not in headers]
    found += headers.values()
    if multipart is not None:
        found.append((b"Content-Type", multipart.content_type.encode("ascii")))
        found.append((b"Content-Length", b"%d" % multipart.length))
    # The token is in no variable: a traceback with variables would show it.
    if token is not None and "authorization" not in headers:
        found.append((b"Authorization", token.authorization().encode("ascii")))
    return found


@lru_cache(maxsize=512)
def _parsed(url: str) -> httpx.URL:
    # The same few URLs are polled again and again, and parsing one takes 20 µs.
    try:
        parsed = httpx.URL(url)
        port, _ = parsed.port, parsed.host
    except (httpx.InvalidURL, UnicodeError) as error:
        raise _invalid_url(url, error) from None
    # A socket rejects such a port in its own way, or takes it modulo 65536.
    if port is not None and not 0 < port < 65536:
        raise _invalid_url(url, f"there is no port {port}")
    return parsed


def _invalid_url(url: str, reason: object) -> InvalidURLError:
    return InvalidURLError(f"{shown(url)} is not a valid URL: {reason}")


def timeouts_of(
    request: Request, deadline: Deadline, *, pool: float | None
) -> dict[str, float | None]:
    """Return the time that each step may take, within the deadline."""
    return {
        "connect": deadline.within(CONNECT_TIMEOUT),
        "read": deadline.within(request.read_timeout),
        "write": deadline.within(SILENCE_TIMEOUT),
        "pool": pool,
    }


def received(headers: RawHeaders, token: Token | None) -> Headers:
    """Return the headers of a response, without the token of the request."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = scrub(raw_name.decode("ascii"), token).lower()
        value = scrub(_text(raw_value), token)
        found[name] = f"{found[name]}, {value}" if name in found else value
    return Headers(found)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def library_of(client: object) -> ModuleType | None:
    """Return `httpx` or `httpx2`, whichever a client belongs to, or `None`."""
    for cls in type(client).__mro__:
        root = cls.__module__.partition(".")[0]
        if root in ("httpx", "httpx2") and cls.__name__ in ("Client", "AsyncClient"):
            return sys.modules[root]
    return None


@cache
def transport_errors(library: ModuleType = httpx) -> tuple[type[Exception], ...]:
    """Return the errors of sending and receiving with a library's client."""
    return (
        library.TransportError,
        # httpx does not map it: another task or thread closed the connection just before its use.
        httpcore.ConnectionNotAvailable,
        # These reach us from a response that httpx does not read itself.
        httpcore.TimeoutException,
        httpcore.NetworkError,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    )


@cache
def url_errors(library: ModuleType = httpx) -> tuple[type[Exception], ...]:
    """Return the errors of a client for a URL that cannot be requested."""
    return (library.InvalidURL, idna.IDNAError)


def invalid_redirect(error: Exception, what: str, token: Token | None) -> APIResponseError:
    """Return the error for a redirect to something that is not a URL."""
    reason = scrub(str(error), token)
    return APIResponseError(f"The server redirects to an invalid URL ({reason}): {what}.")


def connection_error(
    error: Exception, what: str, *, token: Token | None, begun: bool = True
) -> APIConnectionError:
    """Return the error for a connection that failed.

    Args:
        error: The error of the HTTP library.
        what: The request, as messages name it.
        token: The token of the request, which the server may repeat.
        begun: Whether a part of the request may have been sent.
    """
    kinds = {kind.__name__ for kind in type(error).__mro__}
    # The HTTP/2 connections of a caller's client. Our own pool has translated the error.
    sent = begun and kinds.isdisjoint(_NEVER_SENT) and not is_not_processed(error)
    reason = scrub(str(error) or type(error).__name__, token)
    if not sent and _is_caused_by(error, ssl.SSLCertVerificationError):
        return APIConnectionError(
            f"The certificate of the server cannot be verified ({reason}): {what}. Check the "
            "address, or pass verify=... with an ssl.SSLContext that trusts its authority.",
            request_sent=False,
            permanent=True,
        )
    if "TimeoutException" in kinds:
        happened = "No response in time" if sent else "No connection in time"
        kind = type(error).__name__
        # Transports raise subclasses, whose texts say no more than their names. A mock raises
        # the base class to explain that it has no response.
        is_mocked = kind == "TimeoutException"
        detail = kind if not is_mocked and ", through the proxy " not in reason else reason
        return APITimeoutError(
            f"{happened} ({detail}): {what}.", request_sent=sent, permanent=is_mocked
        )
    happened = "The connection broke" if sent else "No connection"
    return APIConnectionError(
        f"{happened} ({reason}): {what}.",
        request_sent=sent,
        refused=not sent and _is_caused_by(error, ConnectionRefusedError),
    )


def _is_caused_by(error: BaseException | None, kind: type[OSError]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        if isinstance(error, BaseExceptionGroup):  # of several addresses
            several: tuple[BaseException, ...] = cast("Any", error).exceptions
            return any(_is_caused_by(each, kind) for each in several)
        error = error.__cause__ or error.__context__
    return False


def named(request: Request) -> str:
    """Return a request as messages name it."""
    return f"{request.method} {shown(request.url)}"
