"""The outermost middleware: access, rate limit, body size, request log."""

import asyncio
import contextlib
import hmac
import ipaddress
import logging
import re
import time
from collections import deque
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashscope.local.http.address import address_of
from dashscope.local.http.problems import ProblemError
from dashscope.local.http.ratelimit import RateLimit
from dashscope.local.http.uploads import FORM_LIMIT, too_large
from dashscope.local.values import new_id

logger = logging.getLogger("dashscope.local")

DISCARD_SECONDS: Final = 5.0
"""Seconds to keep reading a rejected body, so that the client receives the response."""

# These paths need no token. Their URLs are signed or cannot be guessed, and the pages have a
# sign-in form of their own.
_PUBLIC: Final = re.compile(
    r"/health|/openapi\.json|/v1/files/[^/]+/download|/v1/streams/.+|/|/web(/.*)?|/guides(/.*)?"
)
_CLIENT_CLOSED: Final = 499
_STREAM_SECRET: Final = re.compile(r"^(/v1/streams/[^/]*/).+", re.DOTALL)


class AnsweredRequest(NamedTuple):
    """A request that the server has answered."""

    method: str
    path: str
    status: int


class RequestMiddleware:
    """The outermost middleware of the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        rate_limit: RateLimit | None,
        answered: deque[AnsweredRequest],
    ) -> None:
        self._app = app
        self._token = token
        self._rate_limit = rate_limit
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the application, or reject it."""
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        request_id = new_id()
        status = _CLIENT_CLOSED
        received = 0
        complete = False
        recorded = False
        method, path = scope["method"], scope["path"]

        def record() -> None:
            nonlocal recorded
            recorded = True
            self._answered.append(AnsweredRequest(method, path, status))

        async def receive_bounded() -> Message:
            nonlocal received, complete
            message = await receive()
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > FORM_LIMIT:
                raise too_large()
            return message

        async def send_recorded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                # Record the request before sending the response, so that a client that has the
                # response also finds the record.
                record()
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            problem = self._problem(scope, path)
            if problem is not None:
                await problem.response()(scope, receive, send_recorded)
            else:
                await self._app(scope, receive_bounded, send_recorded)
            if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and not complete:
                await _discard_body(receive)
        except Exception:
            # Starlette raises an error again after it has sent the 500. If uvicorn saw the error,
            # it would close the connection, and the next request of the client would fail.
            logger.exception("%s %r failed %s", method, loggable_path(path), request_id)
            if not recorded:
                raise
        finally:
            if not recorded:
                record()
            milliseconds = (time.perf_counter() - began) * 1000
            logger.info(
                "%s %r %d %.1f ms %s",
                *(method, loggable_path(path), status, milliseconds, request_id),
            )

    def _problem(self, scope: Scope, path: str) -> ProblemError | None:
        headers = Headers(scope=scope)
        try:
            scope["dashscope.address"] = address_of(headers)
        except ValueError as error:
            return ProblemError(HTTPStatus.BAD_REQUEST, str(error))
        if self._token is None:
            problem = local_request_problem(scope["method"], headers)
        elif _PUBLIC.fullmatch(path) or authorized(headers, self._token):
            problem = None
        else:
            problem = ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "This server requires its token in the header Authorization: Bearer <token>.",
                headers={"www-authenticate": "Bearer"},
            )
        if problem is not None:
            return problem
        if parse_content_length(headers.get("content-length", "")) > FORM_LIMIT:
            return too_large()
        if self._rate_limit is None or not path.startswith("/v1/"):
            return None
        wait = self._rate_limit.take(time.monotonic())
        if wait is None:
            return None
        return ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"Request was throttled. Your rate limit resets in ~{wait}s.",
            headers={"retry-after": str(wait)},
            members={"retry_after": wait},
        )


def loggable_path(path: str) -> str:
    """Return a path without the secret of a stream's URL."""
    return _STREAM_SECRET.sub(r"\1...", path)


def authorized(headers: Headers, token: str) -> bool:
    """Return whether a request carries the token."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    matches = hmac.compare_digest(given.strip().encode(), token.encode())
    return matches and scheme.lower() in {"bearer", "token"}


def local_request_problem(method: str, headers: Headers) -> ProblemError | None:
    """Return a problem for requests that another web site may have sent from a local browser.

    Without a token, every request from this machine is accepted, including those of a browser.
    """
    if not is_loopback(host_of(f"//{headers.get('host', '')}")):
        return ProblemError(
            HTTPStatus.FORBIDDEN,
            "Without a token, the server only accepts requests to a loopback address.",
        )
    if is_cross_site(method, headers):
        return ProblemError(
            HTTPStatus.FORBIDDEN,
            "Without a token, the server does not accept requests from other web sites.",
        )
    return None


def is_cross_site(method: str, headers: Headers) -> bool:
    """Return whether a browser sent a request for a web site that must not send it.

    Pages on other ports of this machine may read. Only the server's own pages may change
    something: a browser sends a simple POST for any page without asking the server first.
    """
    origin = headers.get("origin")
    if method in {"GET", "HEAD"}:
        return origin is not None and not is_loopback(host_of(origin))
    if origin is None:
        return headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
    return netloc_of(origin) != headers.get("host", "").lower()


def netloc_of(url: str) -> str:
    """Return the host and port of a URL, or an empty string if the URL is invalid."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def host_of(url: str) -> str:
    """Return the host of a URL, or an empty string if the URL is invalid."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_content_length(text: str) -> int:
    """Return the value of ``Content-Length``. uvicorn has already rejected invalid values."""
    return int(text) if text.isascii() and text.isdigit() else 0


async def _discard_body(receive: Any) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
