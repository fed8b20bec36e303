"""Routes for ``/models`` and its versions, readme and examples."""

from http import HTTPStatus
from typing import Final, cast

from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.requests import CreateModelBody, UpdateModelBody, read_body, read_json
from dashscope.local.http.routes.collections import find_models
from dashscope.local.http.services import page_response, services
from dashscope.local.store.models import SortKey
from dashscope.local.values import now, timestamp

_SORT_KEYS: Final = ("latest_version_created_at", "model_created_at")
_DIRECTIONS: Final = ("desc", "asc")


def read_choice(request: Request, name: str, choices: tuple[str, ...]) -> str:
    """Return a query parameter with a fixed set of values. Defaults to the first value."""
    value = request.query_params.get(name, choices[0])
    if value not in choices:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"{name} must be {' or '.join(choices)}, not {value[:50]!r}."
        )
    return value


async def list_models(request: Request) -> JSONResponse:
    """Handle ``models.list``."""
    parts = services(request)
    sort_by = cast("SortKey", read_choice(request, "sort_by", _SORT_KEYS))
    descending = read_choice(request, "sort_direction", _DIRECTIONS) == "desc"
    return page_response(
        request,
        lambda cursor: parts.store.models.page(cursor, sort_by, descending=descending),
        parts.renderer.model,
    )


async def create_model(request: Request) -> JSONResponse:
    """Handle ``models.create``."""
    parts = services(request)
    body = await read_json(request, CreateModelBody)
    full_name = f"{body.owner}/{body.name}"
    if parts.store.models.get(full_name) is not None:
        raise ProblemError(HTTPStatus.CONFLICT, f"A model named {full_name} already exists.")
    values = body.model_dump(exclude={"owner", "name"})
    parts.store.models.create(full_name, {**values, "created_at": timestamp(now())})
    model = parts.store.models.get(full_name)
    if model is None:
        raise LookupError(f"model {full_name} was deleted")
    return JSONResponse(parts.renderer.model(model), HTTPStatus.CREATED)


async def search_models(request: Request) -> JSONResponse:
    """Handle ``models.search``: the body is the query, as plain text or as a JSON string."""
    parts = services(request)
    try:
        query = (await read_body(request)).decode()
    except UnicodeDecodeError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The query is not UTF-8.") from error
    if query.lstrip().startswith('"') or _is_json(request):
        try:
            query = from_json(query)
        except ValueError as error:
            if _is_json(request):
                raise ProblemError(HTTPStatus.BAD_REQUEST, "The query is not JSON.") from error
    if not isinstance(query, str):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The query must be a string.")
    if not query.strip():
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The query is empty.")
    found = find_models(parts.store, query)[:50]
    results = [parts.renderer.model(model) for _, model in found]
    return JSONResponse({"next": None, "previous": None, "results": results})


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip() == "application/json"


async def get_model(request: Request) -> JSONResponse:
    """Handle ``models.get``."""
    parts = services(request)
    return JSONResponse(parts.renderer.model(parts.model(request), listed=False))


async def update_model(request: Request) -> JSONResponse:
    """Handle ``models.update``."""
    parts = services(request)
    model = parts.model(request)
    body = await read_json(request, UpdateModelBody)
    changed = parts.store.models.update(model, body.model_dump(exclude_unset=True))
    return JSONResponse(parts.renderer.model(changed))


async def delete_model(request: Request) -> Response:
    """Handle ``models.delete``."""
    parts = services(request)
    model = parts.model(request)
    if model.visibility != "private":
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"{model.full_name} is public. Only private models can be deleted.",
        )
    if parts.store.models.has_versions(model.full_name):
        raise ProblemError(
            HTTPStatus.CONFLICT, f"{model.full_name} has versions. Delete its versions first."
        )
    parts.store.models.delete(model)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def get_readme(request: Request) -> PlainTextResponse:
    """Handle ``models.readme.get``."""
    model = services(request).model(request)
    if model.readme is None:
        raise not_found(f"README of {model.full_name}")
    return PlainTextResponse(model.readme)


async def list_examples(request: Request) -> JSONResponse:
    """Handle ``models.examples.list``."""
    parts = services(request)
    model = parts.model(request)
    return page_response(
        request,
        lambda cursor: parts.store.jobs.examples(model.full_name, cursor),
        lambda job: parts.renderer.prediction(job, listed=True),
    )


async def list_versions(request: Request) -> JSONResponse:
    """Handle ``models.versions.list``."""
    parts = services(request)
    model = parts.model(request)
    return page_response(
        request,
        lambda cursor: parts.store.models.versions(model.full_name, cursor),
        parts.renderer.version,
    )


async def get_version(request: Request) -> JSONResponse:
    """Handle ``models.versions.get``."""
    parts = services(request)
    version = parts.version(parts.model(request), request.path_params["version_id"])
    return JSONResponse(parts.renderer.version(version))


async def delete_version(request: Request) -> Response:
    """Handle ``models.versions.delete``: also deletes its predictions and their files."""
    parts = services(request)
    model = parts.model(request)
    version = parts.version(model, request.path_params["version_id"])
    if model.visibility != "private":
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"{model.full_name} is public. Only versions of private models can be deleted.",
        )
    if parts.store.deployments.uses(version.id):
        raise ProblemError(HTTPStatus.CONFLICT, "A deployment uses this version.")
    if parts.store.models.trained_from(version.id):
        raise ProblemError(HTTPStatus.CONFLICT, "Another version was trained from this one.")
    await parts.engine.delete_version(version)
    return Response(status_code=HTTPStatus.ACCEPTED)


_MODEL: Final = "/models/{model_owner}/{model_name}"

ROUTES: Final = [
    Route("/models", list_models),
    Route("/models", create_model, methods=["POST"]),
    Route("/models", search_models, methods=["QUERY"]),
    Route(_MODEL, get_model),
    Route(_MODEL, update_model, methods=["PATCH"]),
    Route(_MODEL, delete_model, methods=["DELETE"]),
    Route(f"{_MODEL}/readme", get_readme),
    Route(f"{_MODEL}/examples", list_examples),
    Route(f"{_MODEL}/versions", list_versions),
    Route(f"{_MODEL}/versions/{{version_id}}", get_version),
    Route(f"{_MODEL}/versions/{{version_id}}", delete_version, methods=["DELETE"]),
]
