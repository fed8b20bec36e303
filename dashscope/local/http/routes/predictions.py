"""Routes for predictions, and the functions that predictions and trainings share."""

import asyncio
import contextlib
import json
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.requests import (
    JobBody,
    VersionJobBody,
    check_webhook,
    read_cancel_after,
    read_json,
    read_prefer,
)
from dashscope.local.http.routes.deployments import deployment_of
from dashscope.local.http.services import Services, page_response, services
from dashscope.local.jobs.engine import RETRY_AFTER, QueueFullError, StoppingError
from dashscope.local.jobs.runs import Run
from dashscope.local.models.catalog import ModelsError
from dashscope.local.models.signature import InputError, Signature
from dashscope.local.values import Job, Version, now, parse_timestamp, timestamp


async def create_prediction(request: Request) -> JSONResponse:
    """Handle ``predictions.create``: takes a version, a model, or a model and version."""
    parts = services(request)
    body = await read_json(request, VersionJobBody)
    version = find_version(parts, body.version)
    return await create(request, version, body)


async def create_prediction_of_model(request: Request) -> JSONResponse:
    """Handle ``models.predictions.create``."""
    parts = services(request)
    version = parts.latest(parts.model(request))
    return await create(request, version, await read_json(request, JobBody))


async def create_prediction_of_deployment(request: Request) -> JSONResponse:
    """Handle ``deployments.predictions.create``."""
    parts = services(request)
    deployment = deployment_of(request)
    version = parts.store.models.version(deployment.version)
    if version is None:
        raise not_found(f"Version {deployment.version} of deployment {deployment.name}")
    body = await read_json(request, JobBody)
    return await create(request, version, body, deployment=deployment.name)


def find_version(parts: Services, text: str) -> Version:
    """Return the version for ``id``, ``owner/name:id`` or ``owner/name``.

    Raises:
        ProblemError: The version does not exist.
    """
    if "/" not in text:
        version = parts.store.models.version(text)
        if version is None:
            raise not_found(f"Version {text[:200]}")
        return version
    full_name, _, version_id = text.partition(":")
    model = parts.store.models.get(full_name)
    if model is None:
        raise not_found(f"Model {full_name[:200]}")
    return parts.version(model, version_id) if ":" in text else parts.latest(model)


async def create(
    request: Request, version: Version, body: JobBody, *, deployment: str | None = None
) -> JSONResponse:
    """Create a prediction. With ``Prefer: wait``, respond once it finishes or the wait ends."""
    wait = read_prefer(request)
    deadline = read_cancel_after(request)
    run = create_job(
        services(request),
        version,
        body,
        {
            "kind": "prediction",
            "deployment": deployment,
            "deadline": timestamp(now() + deadline) if deadline is not None else None,
        },
    )
    render = services(request).renderer.prediction
    if wait is None:
        return JSONResponse(render(run.job, run), HTTPStatus.CREATED)
    with contextlib.suppress(TimeoutError):
        # Respond slightly early: the client may stop waiting at exactly this time.
        await asyncio.wait_for(run.finished.wait(), wait - min(0.5, wait * 0.1))
    headers = {"preference-applied": f"wait={wait}"}
    if run.job.finished:
        return JSONResponse(render(run.job), HTTPStatus.CREATED, headers)
    # Clients treat every status other than "starting" as the end of the wait.
    document = {**render(run.job, run), "status": "starting"}
    document.pop("started_at", None)
    return JSONResponse(document, HTTPStatus.ACCEPTED, headers)


def create_job(parts: Services, version: Version, body: JobBody, values: dict[str, Any]) -> Run:
    """Validate the input of a job and create the job.

    Raises:
        ProblemError: The input or the webhook is invalid, or the queue is full.
    """
    webhook, events = check_webhook(body)
    input_json = json.dumps(body.input)
    try:
        runnable = parts.catalog.runnable(version)
    except ModelsError as error:
        raise ProblemError(HTTPStatus.CONFLICT, str(error)) from error
    signature: Signature | None = runnable.signature
    if values["kind"] == "training":
        signature = runnable.training
    if signature is None:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"{version.model} cannot be trained: it has no training."
        )
    try:
        signature.check(input_json)
    except InputError as error:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, str(error), fields=error.fields
        ) from error
    unknown = signature.unknown(body.input) if parts.strict_inputs else []
    if unknown:
        messages = {name: signature.explain_unknown(name) for name in unknown}
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, " ".join(messages.values()), fields=messages
        )
    renderer = parts.renderer
    missing = parts.references.missing(body.input)
    if missing is not None:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"input: the file {missing} does not exist."
        )
    try:
        return parts.engine.create(
            version,
            {
                **values,
                "input": input_json,
                "webhook": webhook,
                "webhook_events": events,
                # Another start of the server may have another address.
                "address": None if renderer.address == parts.address else renderer.address,
            },
        )
    except QueueFullError as error:
        raise ProblemError(
            HTTPStatus.TOO_MANY_REQUESTS,
            f"Too many jobs are queued for {version.model}. Try again in {RETRY_AFTER}s.",
            headers={"retry-after": str(RETRY_AFTER)},
            members={"retry_after": RETRY_AFTER},
        ) from error
    except StoppingError as error:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The server is shutting down and accepts no new jobs.",
            # The job was not created, so clients can safely retry the request.
            headers={"retry-after": str(RETRY_AFTER), "x-should-retry": "true"},
        ) from error


def find_job(request: Request, kind: str) -> Job:
    """Return the prediction or training named in the request's path.

    Raises:
        ProblemError: The job does not exist.
    """
    job_id: str = request.path_params[f"{kind}_id"]
    job = services(request).store.jobs.get(job_id, kind)
    if job is None:
        raise not_found(f"{kind.capitalize()} {job_id}")
    return job


async def get_job(request: Request, kind: str) -> JSONResponse:
    """Return the current state of a prediction or training."""
    parts = services(request)
    job = find_job(request, kind)
    return JSONResponse(parts.renderer.job(job, parts.engine.run_of(job.id)))


async def cancel_job(request: Request, kind: str) -> JSONResponse:
    """Cancel a prediction or training."""
    parts = services(request)
    return JSONResponse(parts.renderer.job(parts.engine.cancel(find_job(request, kind))))


async def list_jobs(request: Request, kind: str, **filters: str | None) -> JSONResponse:
    """Return a page of predictions or trainings."""
    parts = services(request)
    return page_response(
        request,
        lambda cursor: parts.store.jobs.page(kind, cursor, **filters),
        lambda job: parts.renderer.job(job, parts.engine.run_of(job.id), listed=True),
    )


async def get_prediction(request: Request) -> JSONResponse:
    """Handle ``predictions.get``."""
    return await get_job(request, "prediction")


async def cancel_prediction(request: Request) -> JSONResponse:
    """Handle ``predictions.cancel``."""
    return await cancel_job(request, "prediction")


async def list_predictions(request: Request) -> JSONResponse:
    """Handle ``predictions.list``."""
    source = request.query_params.get("source")
    if source is not None and source != "web":
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"source must be web, not {source[:50]!r}.")
    return await list_jobs(
        request,
        "prediction",
        created_after=read_time(request, "created_after"),
        created_before=read_time(request, "created_before"),
        source=source,
    )


def read_time(request: Request, name: str) -> str | None:
    """Return a time from the query as a timestamp of the store.

    Raises:
        ProblemError: The value is not an ISO 8601 time.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return timestamp(parse_timestamp(text))
    except ValueError as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"{name} must be a time like 2025-01-01T00:00:00Z, not {text[:50]!r}.",
        ) from error


_DEPLOYMENT: Final = "/deployments/{deployment_owner}/{deployment_name}"

ROUTES: Final = [
    Route("/predictions", create_prediction, methods=["POST"]),
    Route("/predictions", list_predictions),
    Route("/predictions/{prediction_id}", get_prediction),
    Route("/predictions/{prediction_id}/cancel", cancel_prediction, methods=["POST"]),
    Route(
        "/models/{model_owner}/{model_name}/predictions",
        create_prediction_of_model,
        methods=["POST"],
    ),
    Route(f"{_DEPLOYMENT}/predictions", create_prediction_of_deployment, methods=["POST"]),
]
