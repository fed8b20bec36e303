"""The outermost middleware: access, rate limit, body size, request log."""

import asyncio
import contextlib
import hmac
import logging
import re
import time
from collections import deque
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashscope.local.http.address import (
    Address,
    Reachability,
    address_of,
    host_of,
    is_loopback,
    remember_address,
)
from dashscope.local.http.problems import ProblemError
from dashscope.local.http.ratelimit import RateLimit
from dashscope.local.http.uploads import FORM_LIMIT, too_large
from dashscope.local.values import new_id

logger = logging.getLogger("dashscope.local")

DISCARD_SECONDS: Final = 5.0
"""Seconds to keep reading a rejected body, so that the client receives the response."""

# These paths need no token. Their URLs are signed or cannot be guessed, and the pages have a
# sign-in form.
_PUBLIC: Final = re.compile(
    r"/health|/openapi\.json|/v1/files/[^/]+/download|/v1/streams/.+|/|/web(/.*)?|/docs|"
    r"/guides(/.*)?"
)
_CLIENT_CLOSED: Final = 499
_STREAM_SECRET: Final = re.compile(r"(/streams/[^/]*/).+", re.DOTALL | re.IGNORECASE)


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
        reachability: Reachability,
        token: str | None,
        rate_limit: RateLimit | None,
        answered: deque[AnsweredRequest],
    ) -> None:
        self._app = app
        self._reachability = reachability
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
        problem: ProblemError | None = None
        headers = Headers(scope=scope)
        try:
            address = self._reachability.address(scope, headers)
        except ValueError as error:
            problem = ProblemError(HTTPStatus.BAD_REQUEST, f"{error}.")
        else:
            scope = remember_address(scope, address)
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
            problem = problem or self._problem(scope, headers)
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

    def _problem(self, scope: Scope, headers: Headers) -> ProblemError | None:
        path: str = scope["path"]
        if self._token is None:
            problem = self._local_request_problem(scope, headers)
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

    def _local_request_problem(self, scope: Scope, headers: Headers) -> ProblemError | None:
        """Return a problem for requests that another web site may have sent from a local browser.

        Without a token, every request from this machine is accepted, including those of a browser.
        """
        if not self._reachability.is_expected_host(scope, headers):
            return ProblemError(
                HTTPStatus.FORBIDDEN,
                "Without a token, the server only accepts requests to a loopback address, to its "
                "public URL, and to the X-Forwarded-Host of a trusted proxy.",
            )
        if is_cross_site(scope["method"], headers, address_of(HTTPConnection(scope))):
            return ProblemError(
                HTTPStatus.FORBIDDEN,
                "Without a token, the server does not accept requests from other web sites.",
            )
        return None


def loggable_path(path: str) -> str:
    """Return a path without the secret of a stream's URL."""
    return _STREAM_SECRET.sub(r"\1...", path)


def authorized(headers: Headers, token: str) -> bool:
    """Return whether a request carries the token."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    matches = hmac.compare_digest(given.strip().encode(), token.encode())
    return matches and scheme.lower() in {"bearer", "token"}


def is_cross_site(method: str, headers: Headers, address: Address) -> bool:
    """Return whether a browser sent a request for a web site that must not send it.

    Pages on other ports of this machine may read. Only the server's own pages may change
    something: a browser sends a simple POST for any page without asking the server first.
    """
    origin = headers.get("origin")
    if origin is None:
        reads = method in {"GET", "HEAD"}
        return not reads and headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
    if method in {"GET", "HEAD"} and is_loopback(host_of(origin)):
        return False
    return not address.is_origin(origin)


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
