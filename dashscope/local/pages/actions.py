"""The actions of buttons (cancel, run again, sign in and out), and the webhooks page."""

import json
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashscope.local.http.problems import ProblemError
from dashscope.local.http.requests import JobBody
from dashscope.local.http.routes.predictions import create_job
from dashscope.local.http.services import services
from dashscope.local.pages.access import SIGN_IN, Sessions, safe_return
from dashscope.local.pages.display import as_items
from dashscope.local.pages.jobs import KINDS, find, page_of
from dashscope.local.pages.templating import PREFIX, page


async def cancel(request: Request) -> Response:
    """Cancel a prediction or a training."""
    parts = services(request)
    job = parts.engine.cancel(find(request))
    return RedirectResponse(page_of(job), HTTPStatus.SEE_OTHER)


async def run_again(request: Request) -> Response:
    """Create a job with the version and input of another job."""
    parts = services(request)
    job = find(request)
    version = parts.store.models.version(job.version)
    if version is None or job.data_removed:
        raise ProblemError(
            HTTPStatus.CONFLICT, "This cannot run again: its version or input was deleted."
        )
    inputs = as_items(json.loads(parts.renderer.localize(job.input)))
    values = {"kind": job.kind, "destination": job.destination, "source": "web"}
    run = create_job(parts, version, JobBody(input=inputs), values)
    return RedirectResponse(page_of(run.job), HTTPStatus.SEE_OTHER)


async def show_webhooks(request: Request) -> Response:
    """Show the pending webhook deliveries and the last attempts."""
    parts = services(request)
    waiting = parts.store.deliveries.waiting()
    attempts = list(reversed(parts.webhooks.attempts))[:100]
    return page(
        request,
        "webhooks.html",
        waiting=waiting,
        attempts=attempts,
        kinds=parts.store.jobs.kinds({*(w.job for w in waiting), *(a.job for a in attempts)}),
        feed=parts.feed.count,
    )


def session_routes(sessions: Sessions) -> list[Route]:
    """Return the routes for signing in and out."""

    async def show(request: Request) -> Response:
        if not sessions.needed:
            return RedirectResponse(f"{PREFIX}/", HTTPStatus.SEE_OTHER)
        return page(request, "sign_in.html", next=request.query_params.get("next", ""), problem="")

    async def sign_in(request: Request) -> Response:
        async with request.form(max_files=0, max_fields=10) as form:
            token, path = str(form.get("token", "")).strip(), str(form.get("next", ""))
        answer = RedirectResponse(safe_return(path), HTTPStatus.SEE_OTHER)
        if sessions.begin(request, answer, token):
            return answer
        problem = "The token is incorrect."
        return page(request, "sign_in.html", HTTPStatus.UNAUTHORIZED, next=path, problem=problem)

    async def sign_out(request: Request) -> Response:
        answer = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
        sessions.end(request, answer)
        return answer

    return [
        Route(SIGN_IN.removeprefix(PREFIX), show),
        Route(SIGN_IN.removeprefix(PREFIX), sign_in, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
    ]


ROUTES: Final = [
    Route("/webhooks", show_webhooks),
    *(
        route
        for kind in KINDS
        for route in (
            Route(f"/{kind}s/{{job_id}}/cancel", cancel, methods=["POST"]),
            Route(f"/{kind}s/{{job_id}}/again", run_again, methods=["POST"]),
        )
    ),
]
