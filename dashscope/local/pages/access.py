"""Who may see the pages, and from where: sessions, requests from elsewhere, and strict headers.

A browser sends what any web site tells it to, so being on this machine, or having a cookie, is not
enough to run models: what changes something has to come from a page of this very server.
"""

import hmac
import re
import secrets
import time
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashscope.local.http.middleware import authorized
from dashscope.local.http.problems import ProblemError
from dashscope.local.pages.templating import PREFIX, problem_page
from dashscope.local.store.folder import Signer

SIGN_IN: Final = f"{PREFIX}/sign-in"
ASSETS: Final = f"{PREFIX}/assets/"
LIFETIME: Final = 12 * 60 * 60
"""Seconds a session lasts."""

_COOKIE: Final = re.compile(r"([0-9]{1,12})\.[a-z2-7]{32}")
_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
    "img-src 'self' data:; media-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


class Sessions:
    """Cookies that say their bearer has entered the token; none where there is no token.

    A cookie is a signature over the token and the time it ends, not the token: who gets hold of
    one has the pages for some hours, and nothing of it is kept here.
    """

    def __init__(self, signer: Signer, token: str | None) -> None:
        self._signer = signer
        self._token = token

    @property
    def needed(self) -> bool:
        """Whether the pages ask for the token."""
        return self._token is not None

    def is_open(self, request: Request) -> bool:
        """Tell whether a request comes from someone who has the token."""
        if self._token is None or authorized(request.headers, self._token):
            return True
        cookie = request.cookies.get(_name(request), "")
        if not (match := _COOKIE.fullmatch(cookie)):
            return False
        ends = int(match[1])
        return hmac.compare_digest(cookie, self._cookie(ends)) and ends > time.time()

    def begin(self, request: Request, response: Response, token: str) -> bool:
        """Begin a session where the token is the right one."""
        if self._token is None or not hmac.compare_digest(token.encode(), self._token.encode()):
            return False
        response.set_cookie(
            _name(request),
            self._cookie(int(time.time()) + LIFETIME),
            max_age=LIFETIME,
            path=PREFIX,
            secure=request.headers.get("origin", "").startswith("https:"),
            httponly=True,
            samesite="strict",
        )
        return True

    def end(self, request: Request, response: Response) -> None:
        """End a session."""
        response.delete_cookie(_name(request), path=PREFIX, httponly=True, samesite="strict")

    def _cookie(self, ends: int) -> str:
        return f"{ends}.{self._signer.session(ends, self._token or '')}"


def _name(request: Request) -> str:
    # Browsers send a cookie to every port of a host: two servers must not share a name.
    _, port = request.scope.get("server") or ("", 0)
    return f"dashscope-{port}"


class Access:
    """The outer layer of the pages."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through with headers that bind the page it gets, or refuse it."""
        request = Request(scope)
        request.state.nonce = nonce = secrets.token_urlsafe(16)
        request.state.can_sign_out = self._sessions.needed

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["content-security-policy"] = _POLICY.format(nonce=nonce)
                headers["x-content-type-options"] = "nosniff"
                headers["x-frame-options"] = "DENY"
                # `no-referrer` would make the Origin of a form's POST null.
                headers["referrer-policy"] = "same-origin"
                headers["cross-origin-opener-policy"] = "same-origin"
                headers["cross-origin-resource-policy"] = "same-origin"
                if not scope["path"].startswith(ASSETS):
                    headers["cache-control"] = "no-store"
            await send(message)

        answer = self._answer(request)
        await (self._app if answer is None else answer)(scope, receive, send_with_headers)

    def _answer(self, request: Request) -> Response | None:
        """Return the answer to who may not see the page; None to all others."""
        path: str = request.scope["path"]
        problem = cross_site_problem(request)
        if problem is not None:
            return problem_page(request, problem)
        if path.startswith(ASSETS) or path == SIGN_IN or self._sessions.is_open(request):
            return None
        request.state.can_sign_out = False
        if request.method == "GET" and not path.endswith("/events"):
            return RedirectResponse(f"{SIGN_IN}?next={quote(path)}", HTTPStatus.SEE_OTHER)
        return problem_page(
            request, ProblemError(HTTPStatus.UNAUTHORIZED, "Sign in first: the session has ended.")
        )


def cross_site_problem(request: Request) -> ProblemError | None:
    """Refuse what another web site has this browser send; being linked to is all it may."""
    headers = request.headers
    site = headers.get("sec-fetch-site", "none")
    navigates = request.method in {"GET", "HEAD"} and headers.get("sec-fetch-mode") == "navigate"
    if site not in {"none", "same-origin"} and not navigates:
        return ProblemError(HTTPStatus.FORBIDDEN, "This page is not for other web sites to use.")
    if request.method in {"GET", "HEAD"}:
        return None
    try:
        origin = urlsplit(headers.get("origin", "")).netloc
    except ValueError:
        origin = ""
    if not origin or origin.lower() != headers.get("host", "").lower():
        return ProblemError(
            HTTPStatus.FORBIDDEN, "Forms are taken from this server's own pages only."
        )
    return None


def safe_return(path: str) -> str:
    """Return where to go after signing in: a page of ours, whatever was asked for."""
    ours = path.startswith(f"{PREFIX}/") and path.isascii() and path.isprintable()
    return path if ours and "\\" not in path else f"{PREFIX}/"
