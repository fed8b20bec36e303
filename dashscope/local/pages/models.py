"""The pages of models: the list, the run form and the training form."""

import functools
import json
from http import HTTPStatus
from typing import Any, Final

from attrs import evolve, frozen
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashscope.local.decorator import NAME
from dashscope.local.http.problems import ProblemError
from dashscope.local.http.requests import BODY_LIMIT, JobBody
from dashscope.local.http.routes.files import store_file
from dashscope.local.http.routes.predictions import create_job
from dashscope.local.http.services import Services, services
from dashscope.local.http.uploads import read_name, read_type
from dashscope.local.jobs.runs import Run
from dashscope.local.pages.display import as_items
from dashscope.local.pages.fields import Field, read_fields
from dashscope.local.pages.form_values import FormValues, prefill, read
from dashscope.local.pages.jobs import page_of, row
from dashscope.local.pages.templating import page
from dashscope.local.store import CursorError
from dashscope.local.values import Model, Version, now, timestamp

_LIMITS: Final[Any] = {"max_files": 100, "max_fields": 1000, "max_part_size": BODY_LIMIT}

RECENT: Final = 8
"""The number of recent jobs on the pages of models."""


@frozen(kw_only=True)
class Form:
    """A run or training form with its values."""

    fields: list[Field]
    values: FormValues
    webhook: str = ""
    destination: str = ""
    problem: str = ""


def _properties(version: Version) -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads(version.schema)["components"]["schemas"]
    return {
        "streams": schemas["Output"].get("x-cog-array-type") == "iterator",
        "trains": "TrainingInput" in schemas,
    }


async def show_models(request: Request) -> Response:
    """Show the models and the latest predictions."""
    parts = services(request)
    try:
        listed = parts.store.models.page_by_age(request.query_params.get("cursor"))
    except CursorError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "This page does not exist.") from error
    latest = {
        model.full_name: _properties(version)
        for model in listed.results
        if model.latest and (version := parts.store.models.version(model.latest))
    }
    recent = parts.store.jobs.overview("prediction", size=RECENT).results
    return page(
        request,
        "models.html",
        listed=listed,
        latest=latest,
        rows=[row(parts, job) for job in recent],
        feed=parts.feed.count,
    )


def _version(request: Request) -> tuple[Model, Version | None]:
    """Return the model in the path, and the selected or latest version."""
    parts = services(request)
    model = parts.model(request)
    wanted = request.query_params.get("version")
    if wanted is not None:
        return model, parts.version(model, wanted)
    return model, parts.store.models.version(model.latest) if model.latest else None


async def show_model(request: Request) -> Response:
    """Show a model and its run form. The form is filled from the run in ``from`` if given."""
    parts = services(request)
    model, version = _version(request)
    if version is None:
        return page(request, "no_version.html", model=model)
    fields = read_fields(json.loads(version.schema), "Input")
    source = request.query_params.get("from")
    earlier = parts.store.jobs.get(source, "prediction") if source is not None else None
    if earlier is None and not source:
        earlier = parts.store.jobs.first_example(model.full_name)
    inputs = as_items(json.loads(parts.renderer.localize(earlier.input))) if earlier else {}
    return _run_page(request, model, version, Form(fields=fields, values=prefill(fields, inputs)))


def _run_page(
    request: Request, model: Model, version: Version, form: Form, status: int = HTTPStatus.OK
) -> Response:
    parts = services(request)
    recent = parts.store.jobs.overview("prediction", version=version.id, size=RECENT).results
    return page(
        request,
        "model.html",
        status,
        model=model,
        version=version,
        versions=parts.store.models.versions(model.full_name, None).results,
        form=form,
        rows=[row(parts, job) for job in recent],
        feed=parts.feed.count,
        **_properties(version),
    )


async def run_model(request: Request) -> Response:
    """Create a prediction from a submitted form, and redirect to its page."""
    parts = services(request)
    model, version = _version(request)
    version = version or parts.latest(model)
    fields = read_fields(json.loads(version.schema), "Input")
    async with request.form(**_LIMITS) as sent:
        form, run = await _submit(parts, version, fields, sent, {"kind": "prediction"})
    if run is None:
        return _run_page(request, model, version, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    return RedirectResponse(page_of(run.job), HTTPStatus.SEE_OTHER)


async def _submit(
    parts: Services,
    version: Version,
    fields: list[Field],
    sent: FormData,
    job: dict[str, Any],
) -> tuple[Form, Run | None]:
    """Create a job. If the form is invalid, return the form with its problems instead."""
    values = await read(sent, fields, functools.partial(_store_upload, parts))
    form = Form(
        fields=fields,
        values=values,
        webhook=str(sent.get("webhook", "")).strip(),
        destination=job.get("destination", ""),
    )
    if values.problems:
        return form, None
    body = JobBody(input=dict(values.inputs), webhook=form.webhook or None)
    try:
        run = create_job(parts, version, body, {"source": "web", **job})
    except ProblemError as error:
        beside = {name: error.fields[name] for name in error.fields if name in values.texts}
        # Problems that belong to no field are shown above the form.
        above = "" if beside and len(beside) == len(error.fields) else error.detail
        refused = FormValues(texts=values.texts, problems=beside)
        return evolve(form, values=refused, problem=above), None
    _create_destination(parts, run.job.destination)
    return form, run


def _create_destination(parts: Services, full_name: str | None) -> None:
    """Create the destination model of a training if it does not exist."""
    if full_name is not None and parts.store.models.get(full_name) is None:
        values = {"visibility": "private", "hardware": "cpu", "created_at": timestamp(now())}
        parts.store.models.create(full_name, values)


async def _store_upload(parts: Services, upload: UploadFile) -> str:
    """Store an uploaded file, and return its URL."""
    nothing = FormData()
    values = {
        "name": await read_name(nothing, upload),
        "content_type": await read_type(nothing, upload),
        "metadata": "{}",
    }
    file = await store_file(parts, upload.file, values)
    url: str = parts.renderer.file(file)["urls"]["get"]
    return url


async def show_training_form(request: Request) -> Response:
    """Show the training form of a model."""
    model, version = _trainable(request)
    fields = read_fields(json.loads(version.schema), "TrainingInput")
    form = Form(fields=fields, values=prefill(fields, {}), destination=model.full_name)
    return _training_page(request, model, version, form)


def _trainable(request: Request) -> tuple[Model, Version]:
    model, version = _version(request)
    if version is None or not _properties(version)["trains"]:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"{model.full_name} cannot be trained.")
    return model, version


def _training_page(
    request: Request, model: Model, version: Version, form: Form, status: int = HTTPStatus.OK
) -> Response:
    return page(request, "train.html", status, model=model, version=version, form=form)


async def train_model(request: Request) -> Response:
    """Create a training from a submitted form, and redirect to its page."""
    parts = services(request)
    model, version = _trainable(request)
    fields = read_fields(json.loads(version.schema), "TrainingInput")
    async with request.form(**_LIMITS) as sent:
        destination = str(sent.get("destination", "")).strip()
        job = {"kind": "training", "destination": destination}
        if not NAME.fullmatch(destination):
            values = await read(sent, fields, functools.partial(_store_upload, parts))
            problem = "The destination must be owner/name in lower case."
            form = Form(fields=fields, values=values, destination=destination, problem=problem)
            run = None
        else:
            form, run = await _submit(parts, version, fields, sent, job)
    if run is None:
        return _training_page(request, model, version, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    return RedirectResponse(page_of(run.job), HTTPStatus.SEE_OTHER)


_MODEL: Final = "/models/{model_owner}/{model_name}"

ROUTES: Final = [
    Route("/", show_models),
    Route(_MODEL, show_model),
    Route(_MODEL, run_model, methods=["POST"]),
    Route(f"{_MODEL}/train", show_training_form),
    Route(f"{_MODEL}/train", train_model, methods=["POST"]),
]
