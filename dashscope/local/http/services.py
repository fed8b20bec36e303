"""What the routes work with: the server's parts, together, and the ways every route uses them."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from attrs import frozen
from starlette.requests import Request
from starlette.responses import JSONResponse

from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.render import Renderer
from dashscope.local.jobs.change_feed import ChangeFeed
from dashscope.local.jobs.engine import Engine
from dashscope.local.jobs.webhooks import Webhooks
from dashscope.local.models.catalog import Catalog
from dashscope.local.models.references import References
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

    def model(self, request: Request) -> Model:
        """Return the model that a path names.

        Raises:
            ProblemError: There is none.
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
        """Return the version of a model that runs where none is named.

        Raises:
            ProblemError: The model has none.
        """
        if model.latest is None:
            raise not_found(f"{model.full_name} has no version yet: a version to run was")
        return self.version(model, model.latest)


def services(request: Request) -> Services:
    """Return the parts of the server that a request came to."""
    return cast("Services", request.app.state.services)


def page_response(
    request: Request,
    read: Callable[[str | None], Page[T]],
    render: Callable[[T], dict[str, Any]],
) -> JSONResponse:
    """Answer with the page that the request's cursor names.

    Raises:
        ProblemError: The cursor is none of ours.
    """
    try:
        page = read(request.query_params.get("cursor"))
    except CursorError as error:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            "The cursor is not one of this listing: take it from `next` or `previous`.",
        ) from error
    renderer = services(request).renderer
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]

    def link(cursor: str) -> str:
        path = request.url.path.removeprefix("/v1")
        return f"{renderer.base_url}{path}?{urlencode([*kept, ('cursor', cursor)])}"

    return JSONResponse(renderer.page(page, render, link))
