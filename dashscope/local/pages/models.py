"""The pages of models: the list, the playground with its tabs, and the training form."""

import functools
import json
from http import HTTPStatus
from typing import Any, Final

from attrs import evolve
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from dashscope.local.decorator import NAME
from dashscope.local.http.problems import ProblemError
from dashscope.local.http.routes.collections import find_models
from dashscope.local.http.services import Services, services
from dashscope.local.pages.code import has_data, snippets
from dashscope.local.pages.display import as_items
from dashscope.local.pages.fields import Field, describe_type, read_fields, resolve
from dashscope.local.pages.form_values import prefill, read
from dashscope.local.pages.lists import ROWS, ListQuery, lists
from dashscope.local.pages.markdown import MARKDOWN_LIMIT, render_in_thread
from dashscope.local.pages.playground import (
    FORM_LIMITS,
    Form,
    call_of,
    filled_form,
    playground,
    playground_path,
    previews_of,
    properties,
    refuse_upload,
    shown_run,
    store_form_upload,
    submit,
    without_defaults,
)
from dashscope.local.pages.result import display, path_of, result_of
from dashscope.local.pages.templating import page
from dashscope.local.values import Job, Model, Version

CARDS: Final = 36
"""The number of models on a page."""

RECENT: Final = 8
"""The number of recent jobs on the page of all models."""


async def show_models(request: Request) -> Response:
    """Show the models and the latest predictions."""
    parts = services(request)
    search = request.query_params.get("q", "").strip()
    listed = parts.store.models.page_by_age(request.query_params.get("cursor"), CARDS)
    if search:
        found = find_models(parts.store, search, private=True)
        listed = evolve(listed, results=[model for _, model in found], next=None, previous=None)
    latest = {
        model.full_name: properties(version)
        for model in listed.results
        if model.latest and (version := parts.store.models.version(model.latest))
    }
    return page(
        request,
        "models.html",
        listed=listed,
        search=search,
        latest=latest,
        recent=lists(request).read(parts, ListQuery(size=RECENT)),
    )


def _version(request: Request) -> tuple[Model, Version | None]:
    """Return the model in the path, and the selected or latest version."""
    parts = services(request)
    model = parts.model(request)
    wanted = request.query_params.get("version")
    if wanted is not None:
        return model, parts.version(model, wanted)
    return model, parts.store.models.version(model.latest) if model.latest else None


def _model_page(
    request: Request,
    tab: str,
    model: Model,
    version: Version,
    status: int = HTTPStatus.OK,
    **context: Any,
) -> Response:
    """Return a tab of a model's page."""
    suffix = f"?version={version.id}" if version.id != model.latest else ""
    return page(
        request,
        f"model_{tab}.html",
        status,
        tab=tab,
        model=model,
        version=version,
        version_query=suffix,
        **properties(version),
        **context,
    )


def _tab(request: Request) -> tuple[Model, Version]:
    """Return the model and version of a tab.

    Raises:
        ProblemError: The model has no version.
    """
    model, version = _version(request)
    return model, version or services(request).latest(model)


async def show_model(request: Request) -> Response:
    """Show the playground of a model.

    The form has the input of the run in ``run``, whose result is next to the form, of the run in
    ``from``, or of the model's example.
    """
    parts = services(request)
    model, version = _version(request)
    shown = shown_run(request, model=model.full_name)
    if shown is not None and "version" not in request.query_params:
        version = parts.store.models.version(shown.version) or version
    if version is None:
        return page(request, "no_version.html", model=model)
    source = request.query_params.get("from")
    earlier = parts.store.jobs.get(source, "prediction") if source is not None else shown
    if earlier is None and not source:
        earlier = shown = parts.store.jobs.first_example(model.full_name)
    form = filled_form(parts, version, earlier)
    context = await playground(request, model, version, form, shown)
    return _model_page(request, "playground", model, version, **context)


async def run_model(request: Request) -> Response:
    """Create a prediction from a submitted form, and redirect to its result."""
    model, version = _tab(request)
    parts = services(request)
    fields = read_fields(json.loads(version.schema), "Input")
    async with request.form(**FORM_LIMITS) as sent:
        form, run = await submit(parts, version, fields, sent, {"kind": "prediction"})
    if run is None:
        context = await playground(request, model, version, form, None)
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return _model_page(request, "playground", model, version, status, **context)
    return RedirectResponse(playground_path(run.job), HTTPStatus.SEE_OTHER)


async def show_code(request: Request) -> Response:
    """Return the code for the values of a form."""
    model, version = _tab(request)
    fields = read_fields(json.loads(version.schema), "Input")
    async with request.form(**FORM_LIMITS) as sent:
        values = await read(sent, fields, refuse_upload)
    inputs = without_defaults(fields, values.inputs)
    name = request.query_params.get("deployment", "")
    deployment = services(request).store.deployments.get(name)
    call = call_of(request, model, version, inputs, deployment)
    return page(request, "code.html", snippets=snippets(call), has_data=has_data(inputs))


async def upload_file(request: Request) -> Response:
    """Store a file for a form before the form is submitted, and return its URL and preview."""
    parts = services(request)
    async with request.form(**FORM_LIMITS) as sent:
        upload = sent.get("file")
        if not isinstance(upload, UploadFile):
            raise ProblemError(HTTPStatus.BAD_REQUEST, "The form has no file.")
        url = await store_form_upload(parts, upload)
    item = display(parts).value(url)
    name = item.file.name if item.file is not None else ""
    return JSONResponse({"url": url, "preview": item.url, "kind": item.kind, "name": name})


async def show_api(request: Request) -> Response:
    """Show the inputs and the output of a model, and an example request and response."""
    parts = services(request)
    model, version = _tab(request)
    document = json.loads(version.schema)
    schemas: dict[str, Any] = document["components"]["schemas"]
    example = parts.store.jobs.first_example(model.full_name)
    fields = read_fields(document, "Input")
    inputs = as_items(json.loads(parts.renderer.localize(example.input))) if example else {}
    if not inputs:
        inputs = {field.name: _sample(field) for field in fields if field.required}
    output, _ = resolve(schemas["Output"], schemas)
    return _model_page(
        request,
        "api",
        model,
        version,
        fields=fields,
        output=output,
        output_type=describe_type(output),
        output_fields=read_fields(document, "Output") if output.get("properties") else [],
        schema=schemas,
        snippets=snippets(call_of(request, model, version, inputs)),
        has_data=False,
        response=_sample_response(parts, version, inputs, example),
    )


def _sample(field: Field) -> Any:
    """Return an example value for a required input."""
    if field.choices:
        return field.choices[0]
    samples: dict[str, Any] = {
        "integer": field.minimum if field.minimum is not None else 1,
        "number": field.minimum if field.minimum is not None else 0.5,
        "flag": True,
        "file": "https://example.com/input.png",
        "files": ["https://example.com/input.png"],
        "list": [],
        "date": "2025-01-31",
        "json": {} if field.schema.get("type") == "object" else [],
    }
    return samples.get(field.kind, "...")


def _sample_response(
    parts: Services, version: Version, inputs: dict[str, Any], example: Job | None
) -> dict[str, Any]:
    """Return a finished prediction as the API returns it."""
    if example is not None:
        return parts.renderer.prediction(example)
    base_url = parts.renderer.base_url
    return {
        "id": "4xvvozlaujmmdbnmyjdy4t3mna",
        "model": version.model,
        "version": version.id,
        "status": "starting",
        "input": inputs,
        "output": None,
        "urls": {"get": f"{base_url}/predictions/4xvvozlaujmmdbnmyjdy4t3mna"},
    }


async def show_examples(request: Request) -> Response:
    """Show the examples of a model."""
    parts = services(request)
    model, version = _tab(request)
    jobs = parts.store.jobs.examples(model.full_name, None).results
    shown = display(parts)
    examples = [
        {
            "result": await result_of(parts, job),
            "inputs": {
                name: shown.with_files(value)
                for name, value in as_items(json.loads(parts.renderer.localize(job.input))).items()
            },
        }
        for job in jobs
        if job.input
    ]
    return _model_page(request, "examples", model, version, examples=examples)


async def show_versions(request: Request) -> Response:
    """Show the versions of a model."""
    model, version = _tab(request)
    cursor = request.query_params.get("cursor")
    listed = services(request).store.models.versions(model.full_name, cursor, ROWS)
    return _model_page(request, "versions", model, version, listed=listed)


async def show_runs(request: Request) -> Response:
    """Show the predictions of a model or of the selected version."""
    parts = services(request)
    model, version = _tab(request)
    selected = request.query_params.get("version", "")
    query = ListQuery(model=model.full_name, version=selected)
    listed = lists(request).read(parts, query, request.query_params.get("cursor"))
    is_first = "cursor" not in request.query_params
    return _model_page(request, "runs", model, version, listed=listed, is_first=is_first)


async def show_readme(request: Request) -> Response:
    """Show the readme of a model, rendered from Markdown."""
    model, version = _tab(request)
    readme = model.readme or ""
    html = await render_in_thread(readme) if 0 < len(readme) <= MARKDOWN_LIMIT else None
    return _model_page(request, "readme", model, version, html=html)


async def show_training_form(request: Request) -> Response:
    """Show the training form of a model."""
    model, version = _trainable(request)
    fields = read_fields(json.loads(version.schema), "TrainingInput")
    form = Form(fields=fields, values=prefill(fields, {}), destination=model.full_name)
    return _training_page(request, model, version, form)


def _trainable(request: Request) -> tuple[Model, Version]:
    model, version = _version(request)
    if version is None or not properties(version)["trains"]:
        raise ProblemError(HTTPStatus.NOT_FOUND, f"{model.full_name} cannot be trained.")
    return model, version


def _training_page(
    request: Request, model: Model, version: Version, form: Form, status: int = HTTPStatus.OK
) -> Response:
    previews = previews_of(services(request), form)
    return _model_page(request, "train", model, version, status, form=form, previews=previews)


async def train_model(request: Request) -> Response:
    """Create a training from a submitted form, and redirect to its page."""
    parts = services(request)
    model, version = _trainable(request)
    fields = read_fields(json.loads(version.schema), "TrainingInput")
    async with request.form(**FORM_LIMITS) as sent:
        destination = str(sent.get("destination", "")).strip()
        job = {"kind": "training", "destination": destination}
        if not NAME.fullmatch(destination):
            values = await read(sent, fields, functools.partial(store_form_upload, parts))
            problem = "The destination must be owner/name in lower case."
            form = Form(fields=fields, values=values, destination=destination, problem=problem)
            run = None
        else:
            form, run = await submit(parts, version, fields, sent, job)
    if run is None:
        return _training_page(request, model, version, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    return RedirectResponse(path_of(run.job), HTTPStatus.SEE_OTHER)


_MODEL: Final = "/models/{model_owner}/{model_name}"

ROUTES: Final = [
    Route("/", show_models),
    Route("/upload", upload_file, methods=["POST"]),
    Route(_MODEL, show_model),
    Route(_MODEL, run_model, methods=["POST"]),
    Route(f"{_MODEL}/code", show_code, methods=["POST"]),
    Route(f"{_MODEL}/api", show_api),
    Route(f"{_MODEL}/examples", show_examples),
    Route(f"{_MODEL}/versions", show_versions),
    Route(f"{_MODEL}/runs", show_runs),
    Route(f"{_MODEL}/readme", show_readme),
    Route(f"{_MODEL}/train", show_training_form),
    Route(f"{_MODEL}/train", train_model, methods=["POST"]),
]
