"""Values shared by all parts of the server: database rows as frozen classes, ids and times."""

import base64
import secrets
from datetime import UTC, datetime
from typing import Final

from attrs import frozen

TERMINAL: Final = frozenset({"succeeded", "failed", "canceled", "aborted"})
OWNER: Final = "local"
"""The username of the server's only account."""

ORIGIN: Final = "http://dashscope.invalid"
"""Placeholder for the server's address in stored documents, because the address may change.

The ``.invalid`` domain is reserved, so the placeholder never appears in real data.
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
    """A version of a model: its schema, and the names of its code and weights files."""

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
    """A prediction or a training. JSON columns are parsed only when needed."""

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
    address: str | None
    acquired_at: str | None

    @property
    def finished(self) -> bool:
        """Whether the status is terminal."""
        return self.status in TERMINAL


@frozen(kw_only=True)
class File:
    """An uploaded file, or an output file of the job with the id ``job``."""

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
    """A deployment and its current release."""

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
    """Return a new random id of 26 letters and digits (128 bits)."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Format a time as the API does. The texts sort in the order of the times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> datetime:
    """Parse an ISO 8601 time. A time without an offset is in UTC.

    Raises:
        ValueError: The text is not a time, or is out of range.
    """
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error
