"""The pages of predictions and trainings: lists and details."""

import json
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashscope.local.http.problems import not_found
from dashscope.local.http.services import services
from dashscope.local.pages.display import TEXT_LIMIT, as_items
from dashscope.local.pages.lists import PERIODS, STATUSES, ListQuery, lists
from dashscope.local.pages.result import display, result_of
from dashscope.local.pages.templating import PREFIX, page
from dashscope.local.values import Job

KINDS: Final = ("prediction", "training")

DELIVERIES: Final = 10
"""The number of webhook deliveries and of attempts on the page of a job."""


def find(request: Request) -> Job:
    """Return the prediction or training of a page.

    Raises:
        ProblemError: The job does not exist.
    """
    kind = kind_of(request)
    job_id: str = request.path_params["job_id"]
    job = services(request).store.jobs.get(job_id, kind)
    if job is None:
        raise not_found(f"{kind.capitalize()} {job_id}")
    return job


def kind_of(request: Request) -> str:
    """Return the kind of job of a page, prediction or training."""
    first = request.scope["path"].removeprefix(f"{PREFIX}/").partition("/")[0]
    return "training" if first == "trainings" else "prediction"


async def show_jobs(request: Request) -> Response:
    """Show a list of predictions or trainings."""
    parts = services(request)
    kind = kind_of(request)
    query = ListQuery.read(request, kind)
    return page(
        request,
        "jobs.html",
        kind=kind,
        listed=lists(request).read(parts, query, request.query_params.get("cursor")),
        is_first="cursor" not in request.query_params,
        models=[model.full_name for model in parts.store.models.all()],
        statuses=list(STATUSES),
        periods={name: label for name, (label, _) in PERIODS.items()},
    )


async def show_job(request: Request) -> Response:
    """Show a prediction or a training."""
    parts = services(request)
    job = find(request)
    inputs = as_items(json.loads(parts.renderer.localize(job.input)))
    return page(
        request,
        "job.html",
        job=job,
        result=await result_of(parts, job),
        inputs={name: display(parts).with_files(value) for name, value in inputs.items()},
        text_limit=TEXT_LIMIT,
        deliveries=parts.webhooks.attempts_of(job.id)[: -DELIVERIES - 1 : -1],
        waiting=parts.store.deliveries.of_job(job.id, DELIVERIES),
        has_version=parts.store.models.version(job.version) is not None,
    )


async def show_json(request: Request) -> Response:
    """Return a prediction or training as JSON, like the API."""
    parts = services(request)
    job = find(request)
    return JSONResponse(parts.renderer.job(job, parts.engine.run_of(job.id)))


ROUTES: Final = [
    route
    for kind in KINDS
    for route in (
        Route(f"/{kind}s", show_jobs),
        Route(f"/{kind}s/{{job_id}}", show_job),
        Route(f"/{kind}s/{{job_id}}/json", show_json),
    )
]
