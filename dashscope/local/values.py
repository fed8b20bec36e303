"""What the server's rooms pass to each other: rows as frozen classes, ids and times."""

import base64
import secrets
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

TERMINAL: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})
OWNER: Final = "local"
"""The username of the one account a local server has."""

ORIGIN: Final = "http://dashscope.invalid"
"""Stands in stored documents for the server's address, which another start may change.

``.invalid`` is reserved, so no document means it literally.
"""


@frozen(kw_only=True)
class Model:
    """A model, without its versions."""

    seq: int
    owner: str
    name: str
    description: str | None
    visibility: str
    hardware: str
    github_url: str | None
    paper_url: str | None
    license_url: str | None
    weights_url: str | None
    cover_image_url: str | None
    readme: str | None
    collections: str
    run_count: int
    latest: str | None
    created_at: str

    @property
    def full_name(self) -> str:
        """``owner/name``."""
        return f"{self.owner}/{self.name}"


@frozen(kw_only=True)
class Version:
    """A version of a model: its schema, and where its code and weights are."""

    seq: int
    id: str
    model: str
    created_at: str
    schema: str
    code: str
    weights: str | None
    base: str | None


@frozen(kw_only=True)
class Job:
    """A prediction or a training. JSON stays text until somebody has to read it."""

    seq: int
    id: str
    kind: str
    example: int
    model: str
    version: str
    deployment: str | None
    destination: str | None
    status: str
    input: str
    output: str | None
    error: str | None
    logs: str
    source: str
    webhook: str | None
    webhook_events: str | None
    created_at: str
    started_at: str | None
    completed_at: str | None
    deadline: str | None
    data_removed: int

    @property
    def finished(self) -> bool:
        """Whether nothing will change any more."""
        return self.status in TERMINAL


@frozen(kw_only=True)
class File:
    """An uploaded file, or one that a job made (then ``job`` is its id)."""

    seq: int
    id: str
    name: str
    content_type: str
    size: int
    sha256: str
    metadata: str
    job: str | None
    created_at: str
    expires_at: str


@frozen(kw_only=True)
class Deployment:
    """A deployment with its current release."""

    seq: int
    name: str
    created_at: str
    number: int
    model: str
    version: str
    hardware: str
    min_instances: int
    max_instances: int
    released_at: str


def new_id() -> str:
    """Return a fresh id: 26 letters and digits, too many to guess."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Write a time as the API does; as text these sort as the times do."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> datetime:
    """Read a time in ISO 8601; one without an offset is in UTC.

    Raises:
        ValueError: It is not one, or is out of range.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error
