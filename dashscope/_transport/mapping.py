"""Our requests and errors to httpcore's and httpx's and back; nothing of theirs goes further.

httpx is a third of the time that a program takes to its first request, and most programs need
only httpcore: it is imported where something of a caller's, or an odd URL, needs it.
"""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Self

import httpcore

from dashscope._common.secrets import scrubbed
from dashscope._common.urls import NoURLError, shown
from dashscope._errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
)
from dashscope.types.http import SILENCE_TIMEOUT, Headers, Request, merged

if TYPE_CHECKING:
    import httpx

    from dashscope._common.deadline import Deadline
    from dashscope._common.secrets import Token
    from dashscope._transport.multipart import MultipartBody

CONNECT_TIMEOUT: Final = 10.0

_CORE_ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,  # closed, by another task or thread, just before its use
)
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
"""The errors of both libraries have the same names."""
_PLAIN_URL: Final = re.compile(
    r"(https?)://([a-z0-9.-]+)(?::([0-9]{1,5}))?"
    r"(/(?!\.|.*/\.)(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)"
)
"""A URL that is sent as it is."""
ACCEPTED_ENCODINGS: Final = "gzip, deflate"
_DEFAULT_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": ACCEPTED_ENCODINGS}


def build_for(
    client: httpx.Client | httpx.AsyncClient,
    request: Request,
    headers: Mapping[str, str],
    token: Token | None,
    content: Any,
    timeouts: Mapping[str, float | None],
) -> httpx.Request:
    """The request for a caller's client, which adds headers of its own."""
    import httpx

    try:
        built = client.build_request(
            request.method,
            request.url,
            headers=[*merged(_DEFAULT_HEADERS, headers).items(), *_secret(token, headers)],
            content=content,
            timeout=httpx.Timeout(**timeouts),
        )
        _ = built.url.host  # the client asks for it, and does not expect that it is no name
    except (httpx.InvalidURL, UnicodeError) as error:  # the latter for some names of hosts
        raise _no_url(request, error) from None
    return built


def build(
    request: Request,
    headers: Mapping[str, str],
    token: Token | None,
    content: Any,
    timeouts: Mapping[str, float | None],
    sending: Sending,
) -> httpcore.Request:
    """The request for our own connections."""
    url, host = _url_of(request)
    length: dict[str, str] = {}
    if isinstance(content, bytes):
        length = {"Content-Length": str(len(content))}
    elif content is None and request.method in ("POST", "PUT", "PATCH"):
        length = {"Content-Length": "0"}
    set_by_us = merged({"Host": host}, _DEFAULT_HEADERS, length, headers)
    return httpcore.Request(
        request.method,
        url,
        headers=[*set_by_us.items(), *_secret(token, headers)],
        content=_Piece(content, sending) if isinstance(content, bytes) else content,
        extensions={"timeout": timeouts},
    )


def _url_of(request: Request) -> tuple[httpcore.URL, str]:
    """The URL, and the host as the header has it."""
    plain = _PLAIN_URL.fullmatch(request.url)
    if plain is not None:
        scheme, host, port, target = plain.groups()
        number = None if port is None else _checked(int(port), request)
        if number == (443 if scheme == "https" else 80):
            number = None
        url = httpcore.URL(
            scheme=scheme.encode(), host=host.encode(), port=number, target=target.encode()
        )
        return url, host if number is None else f"{host}:{number}"
    import httpx

    try:
        odd = httpx.URL(request.url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise _no_url(request, error) from None
    port = None if odd.port is None else _checked(odd.port, request)
    url = httpcore.URL(scheme=odd.raw_scheme, host=odd.raw_host, port=port, target=odd.raw_path)
    return url, odd.netloc.decode("ascii")


def _checked(port: int, request: Request) -> int:
    # What is no port, sockets refuse each in its own way, or take modulo 65536.
    if not 0 < port < 65536:
        raise _no_url(request, f"there is no port {port}")
    return port


def transport_errors() -> tuple[type[Exception], ...]:
    """The errors of our own connections, and of a caller's client where there may be one."""
    httpx = sys.modules.get("httpx")
    return _CORE_ERRORS if httpx is None else (*_CORE_ERRORS, httpx.TransportError)


def url_errors() -> tuple[type[Exception], ...]:
    """The errors of a caller's client for what is no URL, or one without the name of a host."""
    httpx = sys.modules.get("httpx")
    return () if httpx is None else (httpx.InvalidURL, UnicodeError)


class Sending:
    """How far a request has got; what is not known of, counts as begun.

    Attributes:
        has_begun: whether a part of it that the server could act on may have been sent.
    """

    __slots__ = ("has_begun",)

    def __init__(self) -> None:
        self.has_begun = True


class _Piece:
    """A body in one piece.

    httpcore's own is an async generator, left open (trio complains) where sending fails.
    """

    def __init__(self, content: bytes, sending: Sending) -> None:
        self._pieces = [content]
        self._sending = sending
        sending.has_begun = False  # without its body, the server has but half a request

    def __iter__(self) -> Iterator[bytes]:
        self._sending.has_begun = True
        return iter(self._pieces)

    def __aiter__(self) -> Self:
        self._sending.has_begun = True
        self._left = iter(self._pieces)
        return self

    async def __anext__(self) -> bytes:
        for piece in self._left:
            return piece
        raise StopAsyncIteration


def headers_of(request: Request, multipart: MultipartBody | None) -> dict[str, str]:
    """All the headers that are ours to set but for the token's."""
    headers = dict(request.headers)
    if multipart is not None:
        headers["Content-Type"] = multipart.content_type
        headers["Content-Length"] = str(multipart.length)
    return headers


def _secret(token: Token | None, headers: Mapping[str, str]) -> list[tuple[str, str]]:
    # In no variable of ours, which a traceback with variables would show.
    if token is None or any(name.lower() == "authorization" for name in headers):
        return []  # a request may have an `Authorization` of its own
    return [("Authorization", token.authorization())]


def timeouts_of(
    request: Request, deadline: Deadline, *, pool: float | None
) -> dict[str, float | None]:
    """How long each step may take, within the deadline."""
    return {
        "connect": deadline.within(CONNECT_TIMEOUT),
        "read": deadline.within(request.patience),
        "write": deadline.within(SILENCE_TIMEOUT),
        "pool": pool,
    }


def received(headers: list[tuple[bytes, bytes]]) -> Headers:
    """Headers as they came, as values."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("ascii").lower(), _text(raw_value)
        found[name] = f"{found[name]}, {value}" if name in found else value
    return Headers(found)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _no_url(request: Request, reason: object) -> NoURLError:
    return NoURLError(f"{shown(request.url)} cannot be asked: {reason}")


def odd_redirect(error: Exception, what: str) -> APIResponseError:
    """The error for a redirect to what is no URL."""
    return APIResponseError(scrubbed(f"{what} redirects to what is no URL ({error})."))


def timed_out(what: str, *, request_sent: bool = True) -> APITimeoutError:
    """The error for a request whose time is over, however far it got."""
    got = "no answer" if request_sent else "no connection"
    return APITimeoutError(f"{what}: {got} in time.", request_sent=request_sent)


def connection_error(error: Exception, what: str, *, begun: bool = True) -> APIConnectionError:
    """The error for a connection that was never made, or broke; had the request `begun`?"""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    sent = begun and kinds.isdisjoint(_NEVER_SENT)
    reason = scrubbed(str(error) or type(error).__name__)  # it may quote the server
    if not sent and _is_about_certificate(error):
        return APIConnectionError(
            f"{what}: no connection, since the server's certificate does not verify ({reason}). "
            "Is it the right address? verify=... takes an ssl.SSLContext that knows its authority.",
            request_sent=False,
            permanent=True,
        )
    if "TimeoutException" in kinds:
        return APITimeoutError(
            f"{what}: "
            + ("no answer in time" if sent else "no connection in time")
            + f" ({type(error).__name__}).",
            request_sent=sent,
        )
    happened = "the connection broke" if sent else "no connection"
    return APIConnectionError(f"{what}: {happened} ({reason}).", request_sent=sent)


def _is_about_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def named(request: Request) -> str:
    """A request as messages name it."""
    return f"{request.method} {shown(request.url)}"
