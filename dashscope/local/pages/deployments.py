"""The pages of deployments: the list, and a playground with the predictions of each deployment."""

import json
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from dashscope.local.http.problems import not_found
from dashscope.local.http.services import services
from dashscope.local.pages.fields import read_fields
from dashscope.local.pages.lists import ROWS, ListQuery, lists
from dashscope.local.pages.playground import (
    FORM_LIMITS,
    Form,
    filled_form,
    playground,
    playground_path,
    shown_run,
    submit,
)
from dashscope.local.pages.templating import page
from dashscope.local.values import Deployment, Job, Model, Version


async def show_deployments(request: Request) -> Response:
    """Show the deployments."""
    cursor = request.query_params.get("cursor")
    listed = services(request).store.deployments.page(cursor, ROWS)
    return page(request, "deployments.html", listed=listed)


def _find(request: Request) -> tuple[Deployment, Model, Version]:
    """Return the deployment in the path, with the model and version of its release.

    Raises:
        ProblemError: The deployment or its version does not exist.
    """
    parts = services(request)
    name: str = request.path_params["name"]
    deployment = parts.store.deployments.get(name)
    if deployment is None:
        raise not_found(f"Deployment {name[:100]}")
    model = parts.store.models.get(deployment.model)
    version = parts.store.models.version(deployment.version)
    if model is None or version is None:
        raise not_found(f"Version {deployment.version} of deployment {deployment.name}")
    return deployment, model, version


async def show_deployment(request: Request) -> Response:
    """Show a deployment: its release, a form to run it, and its predictions."""
    deployment, model, version = _find(request)
    shown = shown_run(request, deployment=deployment.name)
    form = filled_form(services(request), version, shown)
    return await _deployment_page(request, deployment, model, version, form, shown)


async def _deployment_page(
    request: Request,
    deployment: Deployment,
    model: Model,
    version: Version,
    form: Form,
    shown: Job | None,
    status: int = HTTPStatus.OK,
) -> Response:
    cursor = request.query_params.get("cursor")
    query = ListQuery(deployment=deployment.name)
    context: dict[str, Any] = await playground(request, model, version, form, shown, deployment)
    return page(
        request,
        "deployment.html",
        status,
        deployment=deployment,
        model=model,
        listed=lists(request).read(services(request), query, cursor),
        is_first=cursor is None,
        **context,
    )


async def run_deployment(request: Request) -> Response:
    """Create a prediction of a deployment from a submitted form, and redirect to its result."""
    deployment, model, version = _find(request)
    fields = read_fields(json.loads(version.schema), "Input")
    job = {"kind": "prediction", "deployment": deployment.name}
    async with request.form(**FORM_LIMITS) as sent:
        form, run = await submit(services(request), version, fields, sent, job)
    if run is None:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        return await _deployment_page(request, deployment, model, version, form, None, status)
    return RedirectResponse(playground_path(run.job), HTTPStatus.SEE_OTHER)


ROUTES: Final = [
    Route("/deployments", show_deployments),
    Route("/deployments/{name}", show_deployment),
    Route("/deployments/{name}", run_deployment, methods=["POST"]),
]
