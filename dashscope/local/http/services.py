"""The parts of a running server, and the helpers that all routes use."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from attrs import evolve, frozen
from starlette.requests import Request
from starlette.responses import JSONResponse

from dashscope.local.http.address import address_of
from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.render import Renderer
from dashscope.local.jobs.change_feed import ChangeFeed
from dashscope.local.jobs.engine import Engine
from dashscope.local.jobs.webhooks import Webhooks
from dashscope.local.models.catalog import Catalog
from dashscope.local.models.references import References
from dashscope.local.models.source_files import ModelsFile
from dashscope.local.store import CursorError, Page, Store
from dashscope.local.store.folder import DataFolder, Signer
from dashscope.local.values import Model, Version

T = TypeVar("T")


@frozen(kw_only=True)
class Services:
    """The parts of a running server."""

    store: Store
    catalog: Catalog
    engine: Engine
    folder: DataFolder
    signer: Signer
    references: References
    renderer: Renderer
    webhooks: Webhooks
    feed: ChangeFeed
    webhook_secret: str
    address: str
    strict_inputs: bool
    models_file: ModelsFile | None

    def model(self, request: Request) -> Model:
        """Return the model named in the request's path.

        Raises:
            ProblemError: The model does not exist.
        """
        full_name = "{model_owner}/{model_name}".format(**request.path_params)
        model = self.store.models.get(full_name)
        if model is None:
            raise not_found(f"Model {full_name}")
        return model

    def version(self, model: Model, version_id: str) -> Version:
        """Return a version of a model.

        Raises:
            ProblemError: The model has no such version.
        """
        version = self.store.models.version(version_id)
        if version is None or version.model != model.full_name:
            raise not_found(f"Version {version_id} of {model.full_name}")
        return version

    def latest(self, model: Model) -> Version:
        """Return the latest version of a model, which runs by default.

        Raises:
            ProblemError: The model has no version.
        """
        if model.latest is None:
            raise ProblemError(
                HTTPStatus.NOT_FOUND, f"{model.full_name} has no version to run yet."
            )
        return self.version(model, model.latest)


def services(request: Request) -> Services:
    """Return the parts of the server, with URLs for the address of the request."""
    parts = cast("Services", request.app.state.services)
    address = address_of(request).url
    if address == parts.address:
        return parts
    parts.references.add_address(address)
    return evolve(parts, renderer=parts.renderer.at(address))


def page_response(
    request: Request,
    read: Callable[[str | None], Page[T]],
    render: Callable[[T], dict[str, Any]],
) -> JSONResponse:
    """Return the page for the request's cursor.

    Raises:
        ProblemError: The cursor is invalid.
    """
    try:
        page = read(request.query_params.get("cursor"))
    except CursorError as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            "The cursor is invalid. Use the URLs in `next` and `previous`.",
        ) from error
    renderer = services(request).renderer
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]

    def link(cursor: str) -> str:
        path = request.url.path.removeprefix("/v1")
        return f"{renderer.base_url}{path}?{urlencode([*kept, ('cursor', cursor)])}"

    return JSONResponse(renderer.page(page, render, link))
