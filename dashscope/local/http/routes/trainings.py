"""Routes for trainings, whose output is a new version of the destination model."""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dashscope.local.decorator import NAME
from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.requests import TrainingBody, read_json
from dashscope.local.http.routes.predictions import cancel_job, create_job, get_job, list_jobs
from dashscope.local.http.services import services


async def create_training(request: Request) -> JSONResponse:
    """Handle ``trainings.create``."""
    parts = services(request)
    version = parts.version(parts.model(request), request.path_params["version_id"])
    body = await read_json(request, TrainingBody)
    if not NAME.fullmatch(body.destination):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"destination must be owner/name, not {body.destination[:200]!r}.",
        )
    if parts.store.models.get(body.destination) is None:
        raise not_found(f"Destination {body.destination}")
    run = create_job(parts, version, body, {"kind": "training", "destination": body.destination})
    return JSONResponse(parts.renderer.training(run.job, run), HTTPStatus.CREATED)


async def get_training(request: Request) -> JSONResponse:
    """Handle ``trainings.get``."""
    return await get_job(request, "training")


async def cancel_training(request: Request) -> JSONResponse:
    """Handle ``trainings.cancel``."""
    return await cancel_job(request, "training")


async def list_trainings(request: Request) -> JSONResponse:
    """Handle ``trainings.list``."""
    return await list_jobs(request, "training")


ROUTES: Final = [
    Route("/trainings", list_trainings),
    Route("/trainings/{training_id}", get_training),
    Route("/trainings/{training_id}/cancel", cancel_training, methods=["POST"]),
    Route(
        "/models/{model_owner}/{model_name}/versions/{version_id}/trainings",
        create_training,
        methods=["POST"],
    ),
]
