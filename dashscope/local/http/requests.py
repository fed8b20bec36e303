"""Parses and validates requests: JSON bodies, and the headers of a create."""

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.requests import Request

from dashscope.local.http.problems import ProblemError
from dashscope.local.models.signature import explain

BODY_LIMIT: Final = 32 * 1024 * 1024
"""Maximum bytes of a JSON body. Larger inputs are uploaded as files."""

EVENTS: Final = ("start", "output", "logs", "completed")
MIN_DEADLINE: Final = timedelta(seconds=5)
MAX_DEADLINE: Final = timedelta(days=365)

_DURATION: Final = re.compile(r"(?=\d)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s?)?")
_WAIT: Final = re.compile(r"wait(?:=(.*))?", re.IGNORECASE)


class Body(BaseModel):
    """Base class of request bodies. Types are strict, and unknown members are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


class JobBody(Body):
    """The body that creates a prediction of a model or deployment."""

    input: dict[str, Any]
    stream: bool | None = None
    webhook: str | None = None
    webhook_events_filter: list[str] | None = None


class VersionJobBody(JobBody):
    """The body that creates a prediction of a version."""

    version: str


class TrainingBody(JobBody):
    """The body that creates a training."""

    destination: str


Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}$")]
Text = Annotated[str, Field(max_length=100_000)]


class CreateModelBody(Body):
    """The body that creates a model."""

    owner: Name
    name: Name
    visibility: Literal["public", "private"]
    hardware: Annotated[str, Field(min_length=1, max_length=100)]
    description: Text | None = None
    github_url: Text | None = None
    paper_url: Text | None = None
    license_url: Text | None = None
    cover_image_url: Text | None = None


class UpdateModelBody(Body):
    """The body that updates a model."""

    description: Text | None = None
    readme: Text | None = None
    github_url: Text | None = None
    paper_url: Text | None = None
    weights_url: Text | None = None
    license_url: Text | None = None


class CreateDeploymentBody(Body):
    """The body that creates a deployment."""

    name: Name
    model: str
    version: str
    hardware: Annotated[str, Field(min_length=1, max_length=100)]
    min_instances: Annotated[int, Field(ge=0, le=5)]
    max_instances: Annotated[int, Field(ge=0, le=20)]


class UpdateDeploymentBody(Body):
    """The body that updates a deployment."""

    version: str | None = None
    hardware: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    min_instances: Annotated[int, Field(ge=0, le=5)] | None = None
    max_instances: Annotated[int, Field(ge=0, le=20)] | None = None


AnyBody = TypeVar("AnyBody", bound=Body)


async def read_body(request: Request) -> bytes:
    """Return a request's body.

    Raises:
        ProblemError: The request is too large.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The body is larger than {BODY_LIMIT} bytes. Upload large inputs as files.",
            )
    return bytes(body)


async def read_json(request: Request, shape: type[AnyBody]) -> AnyBody:
    """Return a request's JSON body.

    Raises:
        ProblemError: 400 if the body is not a JSON object, 413 if it is too large, 422 if a member
            is missing or has the wrong type.
    """
    try:
        # This parser rejects NaN and lone surrogates, and limits the depth of nesting.
        value: Any = from_json(await read_body(request), allow_inf_nan=False)
        # A number such as 1e999 parses to infinity.
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        detail = explain(error, "body").replace("body.", "")
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from error


def check_webhook(body: JobBody) -> tuple[str | None, str | None]:
    """Return the webhook URL of a body, and its events as JSON.

    Raises:
        ProblemError: The webhook is not an http(s) URL, or an event is unknown.
    """
    for event in body.webhook_events_filter or ():
        if event not in EVENTS:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST,
                f"webhook_events_filter: {event!r} is not an event. Use {', '.join(EVENTS)}.",
            )
    if body.webhook is not None and not _is_http_url(body.webhook):
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, f"webhook: {body.webhook[:200]!r} is not an http(s) URL."
        )
    events = body.webhook_events_filter
    return body.webhook, json.dumps(events) if events is not None else None


def _is_http_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    # urlsplit accepts spaces and control characters, but they are not valid in a URL.
    clean = text.isascii() and text.isprintable() and " " not in text
    return clean and parts.scheme in {"http", "https"} and bool(parts.hostname)


def read_prefer(request: Request) -> int | None:
    """Return the seconds of ``Prefer: wait=n``. Other preferences are ignored.

    Raises:
        ProblemError: The seconds are not between 1 and 60.
    """
    for preference in _members(request.headers.getlist("prefer")):
        if match := _WAIT.fullmatch(preference):
            seconds = match[1]
            if seconds is None:
                return 60
            if not re.fullmatch(r"[0-9]{1,2}", seconds) or not 1 <= int(seconds) <= 60:
                raise ProblemError(
                    HTTPStatus.BAD_REQUEST,
                    f"Prefer: wait must be 1 to 60 seconds, not {seconds[:50]!r}.",
                )
            return int(seconds)
    return None


def _members(values: Iterable[str]) -> list[str]:
    return [member.strip() for value in values for member in re.split("[,;]", value)]


def read_cancel_after(request: Request) -> timedelta | None:
    """Return the duration of ``Cancel-After``.

    Raises:
        ProblemError: The value is not a duration, or is too short or too long.
    """
    text = request.headers.get("cancel-after")
    if text is None:
        return None
    match = _DURATION.fullmatch(text.strip().lower())
    if not match:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"Cancel-After must be a duration like 90, 90s, 5m or 1h30m45s, not {text[:50]!r}.",
        )
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    duration = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not MIN_DEADLINE <= duration <= MAX_DEADLINE:
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            f"Cancel-After must be between 5 seconds and 365 days, not {text[:50]!r}.",
        )
    return duration
