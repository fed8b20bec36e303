"""The application for the pages, mounted at ``/web``."""

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from dashscope.local.http.problems import ProblemError, server_problem
from dashscope.local.http.services import Services
from dashscope.local.pages import (
    actions,
    deployments,
    events,
    guides,
    jobs,
    lists,
    models,
    resources,
)
from dashscope.local.pages.access import Access, Sessions
from dashscope.local.pages.templating import problem_page
from dashscope.local.store import CursorError


async def problem_response(request: Request, error: Exception) -> Response:
    """Return the page for an error that ended a request."""
    match error:
        case ProblemError():
            problem = error
        case CursorError():
            problem = ProblemError(400, _DETAILS[404])
        case HTTPException():
            problem = ProblemError(error.status_code, _DETAILS.get(error.status_code, error.detail))
        case ClientDisconnect():
            return Response(status_code=499)
        case _:
            problem = server_problem(error)
    return problem_page(request, problem)


_DETAILS = {404: "This page does not exist.", 405: "This page does not support this method."}


def create_pages(parts: Services, token: str | None) -> Access:
    """Return the application for the pages."""
    errors = (ProblemError, CursorError, HTTPException, ClientDisconnect, Exception)
    handlers: dict[Any, Any] = dict.fromkeys(errors, problem_response)
    sessions = Sessions(parts.signer, token)
    routes = [
        *models.ROUTES,
        *events.ROUTES,
        *lists.ROUTES,
        *resources.ROUTES,
        *deployments.ROUTES,
        *jobs.ROUTES,
        *guides.ROUTES,
        *actions.ROUTES,
        *actions.session_routes(sessions),
        Mount("/assets", GZipMiddleware(StaticFiles(directory=Path(__file__).with_name("assets")))),
    ]
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.router.redirect_slashes = False
    app.state.services = parts
    app.state.lists = lists.Lists()
    return Access(app, sessions)
