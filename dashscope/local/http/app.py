"""The ASGI application: the API under ``/v1``, and the web pages."""

from collections import deque
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp

from dashscope.local.http.address import Reachability, base_path
from dashscope.local.http.middleware import AnsweredRequest, RequestMiddleware
from dashscope.local.http.openapi import document
from dashscope.local.http.problems import ProblemError, server_problem
from dashscope.local.http.ratelimit import RateLimit
from dashscope.local.http.routes import (
    account,
    collections,
    deployments,
    files,
    models,
    predictions,
    streams,
    trainings,
)
from dashscope.local.http.services import Services, services

_OPERATIONS: Final = [
    *account.ROUTES,
    *collections.ROUTES,
    *deployments.ROUTES,
    *files.ROUTES,
    *models.ROUTES,
    *predictions.ROUTES,
    *streams.ROUTES,
    *trainings.ROUTES,
]


async def health(request: Request) -> JSONResponse:
    """Return 200 while the server is running."""
    return JSONResponse({"status": "ok"})


async def describe(request: Request) -> JSONResponse:
    """Return the OpenAPI description of this server."""
    return JSONResponse(document(services(request).renderer.base_url))


async def redirect_to_pages(request: Request) -> RedirectResponse:
    """Redirect to the web pages."""
    path: str = request.scope["path"]
    if not path.startswith(("/docs", "/guides")):
        path = "/"
    return RedirectResponse(f"{base_path(request)}/web{quote(path)}")


async def problem_response(request: Request, error: Exception) -> Response:
    """Return the response for an error that ended a request."""
    match error:
        case ProblemError():
            return error.response()
        case HTTPException():
            detail = error.detail
            if error.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
                detail = f"The API has no operation {request.method} {request.url.path}."
            return ProblemError(error.status_code, detail, headers=error.headers).response()
        case ClientDisconnect():
            # The client has disconnected. The status is only for the log.
            return Response(status_code=499)
        case _:
            return server_problem(error).response()


def create_app(
    parts: Services,
    pages: ASGIApp,
    *,
    reachability: Reachability,
    token: str | None,
    rate_limit: RateLimit | None,
    answered: deque[AnsweredRequest],
) -> RequestMiddleware:
    """Return the ASGI application for the parts of a server."""
    errors = (ProblemError, HTTPException, ClientDisconnect, Exception)
    handlers: dict[Any, Any] = dict.fromkeys(errors, problem_response)
    # Do not redirect: a client that follows a redirect may change the method or drop the token.
    operations = Router(_OPERATIONS, redirect_slashes=False)
    routes: list[BaseRoute] = [
        Route("/health", health),
        Route("/openapi.json", describe),
        Mount("/v1", app=operations),
        Route("/", redirect_to_pages),
        Route("/web", redirect_to_pages),
        Route("/docs", redirect_to_pages),
        Route("/guides", redirect_to_pages),
        Route("/guides/{topic}", redirect_to_pages),
        Mount("/web", app=pages),
    ]
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.services = parts
    return RequestMiddleware(
        app, reachability=reachability, token=token, rate_limit=rate_limit, answered=answered
    )
