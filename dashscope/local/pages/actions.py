"""The actions of buttons: cancel, run again, resend, delete a file, sign in and out."""

import json
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.requests import JobBody
from dashscope.local.http.routes import files
from dashscope.local.http.routes.predictions import create_job
from dashscope.local.http.services import services
from dashscope.local.pages.access import SIGN_IN, Sessions, safe_return
from dashscope.local.pages.display import as_items
from dashscope.local.pages.jobs import KINDS, find
from dashscope.local.pages.playground import playground_path
from dashscope.local.pages.result import path_of
from dashscope.local.pages.templating import PREFIX, page


async def cancel(request: Request) -> Response:
    """Cancel a prediction or a training, and return to the page of the button."""
    job = services(request).engine.cancel(find(request))
    in_playground = request.query_params.get("in") == "playground"
    target = playground_path(job) if in_playground else path_of(job)
    return RedirectResponse(target, HTTPStatus.SEE_OTHER)


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
    return RedirectResponse(path_of(run.job), HTTPStatus.SEE_OTHER)


async def resend_webhook(request: Request) -> Response:
    """Send the event of a webhook attempt again."""
    parts = services(request)
    message_id: str = request.path_params["message_id"]
    attempt = next((a for a in reversed(parts.webhooks.attempts) if a.id == message_id), None)
    if attempt is None:
        raise not_found(f"Delivery {message_id[:100]}")
    kind = parts.store.jobs.kinds([attempt.job]).get(attempt.job, "")
    job = parts.store.jobs.get(attempt.job, kind)
    if job is None or job.data_removed:
        raise ProblemError(
            HTTPStatus.CONFLICT, "This cannot be sent again: its prediction was deleted."
        )
    parts.webhooks.resend(attempt, job, parts.engine.run_of(job.id))
    return RedirectResponse(f"{PREFIX}/webhooks/{message_id}", HTTPStatus.SEE_OTHER)


async def delete_file(request: Request) -> Response:
    """Delete an uploaded file."""
    await files.delete_file(request)
    return RedirectResponse(f"{PREFIX}/files", HTTPStatus.SEE_OTHER)


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
    Route("/webhooks/{message_id}/resend", resend_webhook, methods=["POST"]),
    Route("/files/{file_id}/delete", delete_file, methods=["POST"]),
    *(
        route
        for kind in KINDS
        for route in (
            Route(f"/{kind}s/{{job_id}}/cancel", cancel, methods=["POST"]),
            Route(f"/{kind}s/{{job_id}}/again", run_again, methods=["POST"]),
        )
    ),
]
