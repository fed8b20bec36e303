"""`install_error_handlers()`: errors as problem details (RFC 9457), in ASGI applications."""

from __future__ import annotations

import json
import math
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from dashscope._common.logging import logger
from dashscope._errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ConflictError,
    DashscopeError,
    InternalServerError,
    ModelError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PredictionCanceledError,
    PredictionError,
    PredictionTimeoutError,
    RateLimitError,
    StreamError,
    UnprocessableEntityError,
    shortened,
)

_PROBLEMS: Final[tuple[tuple[type[DashscopeError], HTTPStatus, str], ...]] = (
    (UnprocessableEntityError, HTTPStatus.UNPROCESSABLE_ENTITY, "The input is invalid"),
    (NotFoundError, HTTPStatus.NOT_FOUND, "There is no such object"),
    (ConflictError, HTTPStatus.CONFLICT, "The object exists, or is in use"),
    (RateLimitError, HTTPStatus.SERVICE_UNAVAILABLE, "The service is busy"),
    # The visitor cannot do anything about the application's account.
    (AuthenticationError, HTTPStatus.BAD_GATEWAY, "The model service is not available"),
    (PaymentRequiredError, HTTPStatus.BAD_GATEWAY, "The model service is not available"),
    (PermissionDeniedError, HTTPStatus.BAD_GATEWAY, "The model service is not available"),
    (InternalServerError, HTTPStatus.BAD_GATEWAY, "The model service failed"),
    (APITimeoutError, HTTPStatus.GATEWAY_TIMEOUT, "The model service did not answer in time"),
    (APIConnectionError, HTTPStatus.BAD_GATEWAY, "The model service is not available"),
    (APIResponseError, HTTPStatus.BAD_GATEWAY, "The model service failed"),
    (PredictionTimeoutError, HTTPStatus.GATEWAY_TIMEOUT, "The model did not finish in time"),
    (PredictionCanceledError, HTTPStatus.SERVICE_UNAVAILABLE, "The prediction was canceled"),
    (ModelError, HTTPStatus.BAD_GATEWAY, "The model failed"),
    (StreamError, HTTPStatus.BAD_GATEWAY, "The stream of the model broke off"),
)


def install_error_handlers(app: Starlette, *, show_model_errors: bool = False) -> None:
    """Turn the errors of this package into responses, as problem details.

    The status is 422 for an invalid input, with the server's explanation; 502 for a failed model, a
    failed service or a rejected token; 504 for a timeout; 503 with `Retry-After` for a rate limit;
    and 500 for all other errors. Apart from the explanation of a 422, a
    response contains only a title, the id of the prediction, and the request id of the service: no
    message, URL, input or log. Errors of 500 and above are logged with their traceback.

    Args:
        app: The FastAPI or Starlette application.
        show_model_errors: Whether the response for a failed model contains the model's message.

    Example:
        ```python
        from fastapi import FastAPI
        from dashscope.integrations.fastapi import ClientDep, install_error_handlers, lifespan

        app = FastAPI(lifespan=lifespan())
        install_error_handlers(app)

        @app.post("/greet")
        async def greet(name: str, client: ClientDep) -> str:
            return await client.run("dashscope/hello-world", {"text": name})
        ```
    """

    async def handle(request: Request, error: Exception) -> Response:
        if not isinstance(error, DashscopeError):
            raise error
        return problem_response(error, request, show_model_errors=show_model_errors)

    app.add_exception_handler(DashscopeError, handle)


def problem_response(
    error: DashscopeError, request: Request, *, show_model_errors: bool
) -> Response:
    """Return the response for an error, and log an error of the server."""
    status, title = HTTPStatus.INTERNAL_SERVER_ERROR, "The request could not be processed"
    for kind, status_of_kind, title_of_kind in _PROBLEMS:
        if isinstance(error, kind):
            status, title = status_of_kind, title_of_kind
            break
    problem: dict[str, Any] = {"type": "about:blank", "title": title, "status": int(status)}
    headers: dict[str, str] = {}
    if isinstance(error, APIStatusError):
        problem["request_id"] = error.request_id
        if isinstance(error, UnprocessableEntityError):
            problem["detail"] = error.detail
        if status is HTTPStatus.SERVICE_UNAVAILABLE and error.retry_after is not None:
            headers["Retry-After"] = str(math.ceil(error.retry_after))
    if isinstance(error, PredictionError):
        problem["prediction_id"] = error.prediction.id
        if isinstance(error, ModelError) and show_model_errors and error.prediction.error:
            problem["detail"] = shortened(error.prediction.error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("%s %s failed: %s", request.method, request.url.path, error, exc_info=error)
    known = {name: value for name, value in problem.items() if value is not None}
    content = json.dumps(known, ensure_ascii=False)
    return Response(content, int(status), headers, media_type="application/problem+json")
