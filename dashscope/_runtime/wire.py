"""Our requests and errors to httpx's and back; nothing of httpx leaves this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import httpx

from dashscope._errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    ConfigurationError,
)
from dashscope._http import SILENCE_TIMEOUT, Request
from dashscope._urls import shown

if TYPE_CHECKING:
    from dashscope._deadline import Deadline
    from dashscope._runtime.multipart import MultipartBody

CONNECT_TIMEOUT: Final = 10.0

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


def build(
    client: httpx.Client | httpx.AsyncClient,
    request: Request,
    authorization: str | None,
    deadline: Deadline,
    *,
    multipart: MultipartBody | None,
    content: Any,
    pool: float | None,
) -> httpx.Request:
    """The request for httpx, its time-outs within the deadline."""
    headers = dict(request.headers)
    if authorization is not None:
        headers["Authorization"] = authorization
    if multipart is not None:
        headers["Content-Type"] = multipart.content_type
        headers["Content-Length"] = str(multipart.length)
    try:
        return client.build_request(
            request.method,
            request.url,
            headers=headers,
            content=content,
            timeout=httpx.Timeout(
                connect=deadline.within(CONNECT_TIMEOUT),
                read=deadline.within(request.patience),
                write=deadline.within(SILENCE_TIMEOUT),
                pool=pool,
            ),
        )
    except httpx.InvalidURL as error:
        problem = str(error)
    raise ValueError(f"{shown(request.url)} cannot be asked: {problem}")


def odd_redirect(error: Exception, what: str) -> APIResponseError:
    """The error for a redirect to what is no URL."""
    return APIResponseError(f"{what} redirects to what is no URL ({error}).")


def timed_out(what: str) -> APITimeoutError:
    """The error for a request whose time is over; nobody knows how far it got."""
    return APITimeoutError(f"{what}: no answer in time.", request_sent=True)


def connection_error(error: httpx.TransportError, what: str) -> APIConnectionError:
    """The error for a connection that was never made, or broke."""
    sent = not isinstance(error, _NEVER_SENT)
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException):
        return APITimeoutError(
            f"{what}: "
            + ("no answer in time" if sent else "no connection in time")
            + f" ({type(error).__name__}).",
            request_sent=sent,
        )
    happened = "the connection broke" if sent else "no connection"
    return APIConnectionError(f"{what}: {happened} ({reason}).", request_sent=sent)


def decoding_error(error: httpx.DecodingError, what: str) -> APIResponseError:
    """The error for a body that does not decompress."""
    return APIResponseError(f"{what} answered with a body that does not decompress ({error}).")


def named(request: Request) -> str:
    """A request as messages name it."""
    return f"{request.method} {shown(request.url)}"


def check_proxy(proxy: str) -> None:
    """Refuse what httpx cannot use as a proxy."""
    try:
        httpx.Proxy(proxy)
    except (ValueError, TypeError, httpx.InvalidURL) as error:
        raise ConfigurationError(
            f"proxy is a URL such as http://127.0.0.1:8080 ({type(error).__name__})."
        ) from None
