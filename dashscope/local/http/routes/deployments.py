"""Routes for ``/deployments``: named deployments of a version, with numbered releases."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.requests import CreateDeploymentBody, UpdateDeploymentBody, read_json
from dashscope.local.http.services import page_response, services
from dashscope.local.values import OWNER, Deployment, now, timestamp


def deployment_of(request: Request) -> Deployment:
    """Return the deployment named in the request's path.

    Raises:
        ProblemError: The deployment does not exist.
    """
    owner, name = request.path_params["deployment_owner"], request.path_params["deployment_name"]
    deployment = services(request).store.deployments.get(name)
    if owner != OWNER or deployment is None:
        raise not_found(f"Deployment {owner}/{name}")
    return deployment


def check_instances(minimum: int, maximum: int) -> None:
    """Raise if the minimum is greater than the maximum."""
    if minimum > maximum:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"min_instances ({minimum}) is greater than max_instances ({maximum}).",
        )


async def create_deployment(request: Request) -> JSONResponse:
    """Handle ``deployments.create``."""
    parts = services(request)
    body = await read_json(request, CreateDeploymentBody)
    model = parts.store.models.get(body.model)
    if model is None:
        raise not_found(f"Model {body.model[:200]}")
    version = parts.version(model, body.version)
    check_instances(body.min_instances, body.max_instances)
    if parts.store.deployments.get(body.name) is not None:
        raise ProblemError(HTTPStatus.CONFLICT, f"A deployment named {body.name} already exists.")
    release = {
        "model": model.full_name,
        "version": version.id,
        **body.model_dump(include={"hardware", "min_instances", "max_instances"}),
    }
    deployment = parts.store.deployments.create(body.name, timestamp(now()), release)
    return JSONResponse(parts.renderer.deployment(deployment))


async def list_deployments(request: Request) -> JSONResponse:
    """Handle ``deployments.list``."""
    parts = services(request)
    return page_response(request, parts.store.deployments.page, parts.renderer.deployment)


async def get_deployment(request: Request) -> JSONResponse:
    """Handle ``deployments.get``."""
    return JSONResponse(services(request).renderer.deployment(deployment_of(request)))


async def update_deployment(request: Request) -> JSONResponse:
    """Handle ``deployments.update``: every change creates a new release."""
    parts = services(request)
    deployment = deployment_of(request)
    body = await read_json(request, UpdateDeploymentBody)
    changes = body.model_dump(exclude_none=True)
    if "version" in changes:
        model = parts.store.models.get(deployment.model)
        if model is None:
            raise not_found(f"Model {deployment.model}")
        parts.version(model, changes["version"])
    check_instances(
        changes.get("min_instances", deployment.min_instances),
        changes.get("max_instances", deployment.max_instances),
    )
    if changes:
        deployment = parts.store.deployments.release(deployment, timestamp(now()), changes)
    return JSONResponse(parts.renderer.deployment(deployment))


async def delete_deployment(request: Request) -> Response:
    """Handle ``deployments.delete``."""
    services(request).store.deployments.delete(deployment_of(request))
    return Response(status_code=HTTPStatus.NO_CONTENT)


_DEPLOYMENT: Final = "/deployments/{deployment_owner}/{deployment_name}"

ROUTES: Final = [
    Route("/deployments", list_deployments),
    Route("/deployments", create_deployment, methods=["POST"]),
    Route(_DEPLOYMENT, get_deployment),
    Route(_DEPLOYMENT, update_deployment, methods=["PATCH"]),
    Route(_DEPLOYMENT, delete_deployment, methods=["DELETE"]),
]
