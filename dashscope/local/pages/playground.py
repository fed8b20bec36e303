"""The playground: a form for the inputs, the result of a run, and code for the inputs."""

import functools
import json
from typing import Any, Final

from attrs import evolve, frozen
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.requests import BODY_LIMIT, JobBody
from dashscope.local.http.routes.files import store_file
from dashscope.local.http.routes.predictions import create_job
from dashscope.local.http.services import Services, services
from dashscope.local.http.uploads import read_name, read_type
from dashscope.local.jobs.runs import Run
from dashscope.local.pages.code import Call, has_data, snippets
from dashscope.local.pages.display import TEXT_LIMIT, DisplayItem, as_items
from dashscope.local.pages.fields import Field, read_fields
from dashscope.local.pages.form_values import FormValues, prefill, read
from dashscope.local.pages.result import display, result_of
from dashscope.local.pages.templating import PREFIX
from dashscope.local.values import OWNER, Deployment, Job, Model, Version, now, timestamp

FORM_LIMITS: Final[Any] = {"max_files": 100, "max_fields": 1000, "max_part_size": BODY_LIMIT}


@frozen(kw_only=True)
class Form:
    """A run or training form with its values."""

    fields: list[Field]
    values: FormValues
    webhook: str = ""
    destination: str = ""
    problem: str = ""


def properties(version: Version) -> dict[str, Any]:
    """Return whether a version streams and whether it can be trained."""
    schemas: dict[str, Any] = json.loads(version.schema)["components"]["schemas"]
    return {
        "streams": schemas["Output"].get("x-cog-array-type") == "iterator",
        "trains": "TrainingInput" in schemas,
    }


def filled_form(parts: Services, version: Version, earlier: Job | None) -> Form:
    """Return the form of a version with the input of an earlier run, or with its defaults."""
    fields = read_fields(json.loads(version.schema), "Input")
    inputs = as_items(json.loads(parts.renderer.localize(earlier.input))) if earlier else {}
    return Form(fields=fields, values=prefill(fields, inputs))


def shown_run(request: Request, **owner: str) -> Job | None:
    """Return the run in the query of a page, or None. ``owner`` has the values that it must have.

    Raises:
        ProblemError: There is no such run.
    """
    job_id = request.query_params.get("run")
    if job_id is None:
        return None
    job = services(request).store.jobs.get(job_id, "prediction")
    if job is None or any(getattr(job, name) != value for name, value in owner.items()):
        raise not_found(f"Run {job_id[:100]} of {', '.join(owner.values())}")
    return job


async def playground(
    request: Request,
    model: Model,
    version: Version,
    form: Form,
    shown: Job | None,
    deployment: Deployment | None = None,
) -> dict[str, Any]:
    """Return the values for the template of the playground."""
    parts = services(request)
    inputs = await current_inputs(form)
    return {
        "form": form,
        "previews": previews_of(parts, form),
        "result": await result_of(parts, shown) if shown is not None else None,
        "text_limit": TEXT_LIMIT,
        "snippets": snippets(call_of(request, model, version, inputs, deployment)),
        "has_data": has_data(inputs),
    }


async def current_inputs(form: Form) -> dict[str, Any]:
    """Return the inputs for the texts of a form, without those that have the default."""
    texts = {f"input:{name}": text for name, text in form.values.texts.items() if text != "false"}
    values = await read(FormData(texts), form.fields, refuse_upload)
    return without_defaults(form.fields, values.inputs)


async def refuse_upload(upload: UploadFile) -> str:
    """Refuse a file in a form that only needs the texts of its fields."""
    raise ValueError(f"The file {upload.filename} was not uploaded yet.")


def without_defaults(fields: list[Field], inputs: Any) -> dict[str, Any]:
    """Return inputs without those that have the default of their field."""
    defaults = {field.name: field.default for field in fields if not field.required}
    return {
        name: value
        for name, value in inputs.items()
        if name not in defaults or defaults[name] != value
    }


def call_of(
    request: Request,
    model: Model,
    version: Version,
    inputs: dict[str, Any],
    deployment: Deployment | None = None,
) -> Call:
    """Return what the code for a form does."""
    parts = services(request)
    return Call(
        model=model.full_name,
        deployment=f"{OWNER}/{deployment.name}" if deployment is not None else None,
        version=version.id if version.id != model.latest else None,
        inputs=inputs,
        base_url=parts.renderer.base_url,
        needs_token=request.state.needs_token,
        streams=properties(version)["streams"],
    )


def previews_of(parts: Services, form: Form) -> dict[str, list[DisplayItem]]:
    """Return the files of the form's fields that can be shown."""
    shown = display(parts)
    return {
        field.name: [
            item
            for text in form.values.texts.get(field.name, "").split()[:20]
            if (item := shown.value(text)).url and item.kind != "link"
        ]
        for field in form.fields
        if field.kind in {"file", "files"}
    }


def playground_path(job: Job) -> str:
    """Return the path of the playground with the result of a prediction."""
    if job.deployment is not None:
        return f"{PREFIX}/deployments/{job.deployment}?run={job.id}"
    return f"{PREFIX}/models/{job.model}?run={job.id}"


async def submit(
    parts: Services,
    version: Version,
    fields: list[Field],
    sent: FormData,
    job: dict[str, Any],
) -> tuple[Form, Run | None]:
    """Create a job. If the form is invalid, return the form with its problems instead."""
    values = await read(sent, fields, functools.partial(store_form_upload, parts))
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


async def store_form_upload(parts: Services, upload: UploadFile) -> str:
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
