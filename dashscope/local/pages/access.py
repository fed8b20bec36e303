"""Access to the pages: sessions, protection against cross-site requests, security headers.

Any web site can make a browser send requests with cookies. Requests that change something must
therefore come from a page of this server.
"""

import hmac
import re
import secrets
import time
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashscope.local.http.address import address_of, base_path
from dashscope.local.http.middleware import authorized
from dashscope.local.http.problems import ProblemError
from dashscope.local.pages.templating import ASSETS_DIGEST, PREFIX, problem_page
from dashscope.local.store.folder import Signer

SIGN_IN: Final = f"{PREFIX}/sign-in"
ASSETS: Final = f"{PREFIX}/assets/"
LIFETIME: Final = 12 * 60 * 60
"""The lifetime of a session in seconds."""

_COOKIE: Final = re.compile(r"([0-9]{1,12})\.[a-z2-7]{32}")
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "img-src 'self' data:; media-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class Sessions:
    """Session cookies for browsers that have entered the token.

    A cookie is a signature of the token and the session's end. It does not contain the token, and
    the server stores nothing. Servers without a token have no sessions.
    """

    def __init__(self, signer: Signer, token: str | None) -> None:
        self._signer = signer
        self._token = token

    @property
    def needed(self) -> bool:
        """Whether the pages require the token."""
        return self._token is not None

    def is_open(self, request: Request) -> bool:
        """Return whether a request carries the token or a valid session cookie."""
        if self._token is None or authorized(request.headers, self._token):
            return True
        cookie = request.cookies.get(_name(request), "")
        if not (match := _COOKIE.fullmatch(cookie)):
            return False
        ends = int(match[1])
        return hmac.compare_digest(cookie, self._cookie(ends)) and ends > time.time()

    def begin(self, request: Request, response: Response, token: str) -> bool:
        """Set the session cookie if the token is correct. Return whether it is."""
        if self._token is None or not hmac.compare_digest(token.encode(), self._token.encode()):
            return False
        response.set_cookie(
            _name(request),
            self._cookie(int(time.time()) + LIFETIME),
            max_age=LIFETIME,
            path=f"{base_path(request)}{PREFIX}",
            secure=address_of(request).scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return True

    def end(self, request: Request, response: Response) -> None:
        """Delete the session cookie."""
        path = f"{base_path(request)}{PREFIX}"
        response.delete_cookie(_name(request), path=path, httponly=True, samesite="strict")

    def _cookie(self, ends: int) -> str:
        return f"{ends}.{self._signer.session(ends, self._token or '')}"


def _name(request: Request) -> str:
    # Browsers send cookies to all ports of a host, so two servers must use different names.
    _, port = request.scope.get("server") or ("", 0)
    return f"dashscope-{port}"


class Access:
    """Middleware that controls the access to the pages."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the pages and add security headers, or reject the request."""
        request = Request(scope)
        request.state.nonce = nonce = secrets.token_urlsafe(16)
        request.state.can_sign_out = request.state.needs_token = self._sessions.needed
        request.state.has_access = self._sessions.is_open(request)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = _POLICY.format(nonce=nonce)
                headers["x-content-type-options"] = "nosniff"
                headers["x-frame-options"] = "DENY"
                # With `no-referrer`, the Origin of a form's POST would be null.
                headers["referrer-policy"] = "same-origin"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
                if not scope["path"].startswith(ASSETS):
                    headers["cache-control"] = "no-store"
                elif scope["query_string"].decode("latin-1") == ASSETS_DIGEST:
                    headers["cache-control"] = "max-age=31536000, immutable"
                if headers.get("location", "").startswith("/"):
                    headers["location"] = f"{base_path(request)}{headers['location']}"
            await send(message)

        answer = self._answer(request)
        await (self._app if answer is None else answer)(scope, receive, send_with_headers)

    def _answer(self, request: Request) -> Response | None:
        """Return the response that rejects a request, or None to accept it."""
        path: str = request.scope["path"]
        problem = cross_site_problem(request)
        if problem is not None:
            return problem_page(request, problem)
        if path.startswith(ASSETS) or path == SIGN_IN or request.state.has_access:
            return None
        request.state.can_sign_out = False
        if request.method == "GET" and not path.endswith("/events"):
            return RedirectResponse(f"{SIGN_IN}?next={quote(path)}", HTTPStatus.SEE_OTHER)
        return problem_page(
            request, ProblemError(HTTPStatus.UNAUTHORIZED, "The session has ended. Sign in again.")
        )


def cross_site_problem(request: Request) -> ProblemError | None:
    """Return a problem for requests from other web sites. They may only link to pages."""
    headers = request.headers
    site = headers.get("sec-fetch-site", "none")
    navigates = request.method in {"GET", "HEAD"} and headers.get("sec-fetch-mode") == "navigate"
    if site not in {"none", "same-origin"} and not navigates:
        return ProblemError(HTTPStatus.FORBIDDEN, "Other web sites cannot use this page.")
    if request.method in {"GET", "HEAD"}:
        return None
    own = address_of(request)
    if not own.is_origin(headers.get("origin", "")):
        return ProblemError(
            HTTPStatus.FORBIDDEN,
            f"Forms must be submitted from this server's own pages at {own.url}{PREFIX}/.",
        )
    return None


def safe_return(path: str) -> str:
    """Return the path to open after signing in. Only paths of this server's pages are allowed."""
    ours = path.startswith(f"{PREFIX}/") and path.isascii() and path.isprintable()
    return path if ours and "\\" not in path else f"{PREFIX}/"
