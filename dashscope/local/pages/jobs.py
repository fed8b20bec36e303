"""The pages of predictions and trainings: lists and details."""

import json
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.services import Services, services
from dashscope.local.jobs.runs import Run
from dashscope.local.pages.display import (
    ITEM_LIMIT,
    TEXT_LIMIT,
    Display,
    DisplayItem,
    as_items,
    cut,
)
from dashscope.local.pages.templating import PREFIX, page
from dashscope.local.store import CursorError
from dashscope.local.type_guards import is_list
from dashscope.local.values import Job, now, parse_timestamp
from dashscope.types.prediction import Progress

KINDS: Final = ("prediction", "training")
OUTPUT_LIMIT: Final = 2_000_000
"""Maximum characters of JSON of an output that a page shows."""


@frozen(kw_only=True)
class Output:
    """An output on a page: a growing text, or a list of items."""

    text: DisplayItem | None = None
    items: tuple[DisplayItem, ...] = ()
    more: int = 0
    too_long: int = 0


@frozen(kw_only=True)
class Row:
    """A job in a list."""

    job: Job
    seconds: float | None
    output: DisplayItem | None
    progress: int | None


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


def page_of(job: Job) -> str:
    """Return the path of a job's page."""
    return f"{PREFIX}/{job.kind}s/{job.id}"


def output_schema(parts: Services, job: Job) -> dict[str, Any]:
    """Return the output schema of a prediction's version, or an empty schema."""
    version = parts.store.models.version(job.version)
    if version is None or job.kind == "training":
        return {}
    schema: dict[str, Any] = json.loads(version.schema)["components"]["schemas"]["Output"]
    return schema


def concatenates(parts: Services, job: Job) -> bool:
    """Return whether the parts of a job's output form one text."""
    return output_schema(parts, job).get("x-cog-array-display") == "concatenate"


def progress_of(log: str) -> int | None:
    """Return the progress in percent that a log reports, or None."""
    progress = Progress.parse(log[-5000:])
    return round(progress.percentage * 100) if progress is not None else None


def seconds_of(job: Job) -> float | None:
    """Return how many seconds a job has been running, or ran."""
    if job.started_at is None:
        return None
    end = parse_timestamp(job.completed_at) if job.completed_at is not None else now()
    return (end - parse_timestamp(job.started_at)) / timedelta(seconds=1)


def display(parts: Services) -> Display:
    """Return the object that converts values to display items."""
    return Display(parts.store, parts.folder, parts.signer, parts.renderer.base_path)


def output_of(parts: Services, job: Job, run: Run | None) -> Output:
    """Return a job's output for its page."""
    written = run.parts_json() if run is not None else [job.output or "null"]
    length = sum(map(len, written))
    if length > OUTPUT_LIMIT:
        return Output(too_long=length)
    value: Any
    if run is not None and (run.streams or run.output is None):
        value = [json.loads(part) for part in written]
    else:
        value = json.loads(written[0])
    if is_list(value) and concatenates(parts, job):
        return Output(text=cut("text", "".join(map(str, value))))
    if value is None or value == []:
        return Output()
    if job.kind == "training":
        return Output()
    more = max(0, len(value) - ITEM_LIMIT) if is_list(value) else 0
    return Output(items=tuple(display(parts).output(value)), more=more)


def row(parts: Services, job: Job) -> Row:
    """Return the list row of a job."""
    run = parts.engine.run_of(job.id)
    return Row(
        job=job,
        seconds=seconds_of(job),
        output=display(parts).preview(job.output) if job.kind == "prediction" else None,
        progress=progress_of(run.log.since(run.log.end - 1000)) if run is not None else None,
    )


async def show_jobs(request: Request) -> Response:
    """Show a list of predictions or trainings."""
    parts = services(request)
    kind = kind_of(request)
    version = request.query_params.get("version")
    try:
        listed = parts.store.jobs.overview(kind, request.query_params.get("cursor"), version)
    except CursorError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "This page does not exist.") from error
    return page(
        request,
        "jobs.html",
        kind=kind,
        version_id=version,
        rows=[row(parts, job) for job in listed.results],
        listed=listed,
        counts=parts.store.jobs.unfinished_counts(kind),
        feed=parts.feed.count,
    )


async def show_job(request: Request) -> Response:
    """Show a prediction or a training."""
    parts = services(request)
    job = find(request)
    run = parts.engine.run_of(job.id)
    log = run.log.text if run is not None else job.logs
    inputs = as_items(json.loads(parts.renderer.localize(job.input)))
    trained = json.loads(job.output)["version"] if job.kind == "training" and job.output else None
    return page(
        request,
        "job.html",
        job=job,
        seconds=seconds_of(job),
        output=output_of(parts, job, run),
        inputs={name: display(parts).with_files(value) for name, value in inputs.items()},
        values=inputs,
        log=log[-TEXT_LIMIT:],
        log_end=run.log.end if run is not None else len(log),
        log_omitted=max(0, len(log) - TEXT_LIMIT),
        text_limit=TEXT_LIMIT,
        progress=progress_of(log),
        place=place_of(run),
        deliveries=parts.webhooks.attempts_of(job.id),
        waiting=parts.store.deliveries.of_job(job.id),
        trained=trained,
        has_version=parts.store.models.version(job.version) is not None,
        base_url=parts.renderer.base_url,
    )


def place_of(run: Run | None) -> str:
    """Return the event id that corresponds to the state of a run on a page."""
    if run is None:
        return ""
    return f"{len(run.parts_json())}-{run.log.end}-{run.job.status}"


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
