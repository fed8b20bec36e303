"""Models and their versions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from dashscope.types.prediction import Prediction


@frozen(kw_only=True)
class Version:
    """A version of a model.

    Attributes:
        id: its id, a digest of 64 hexadecimal digits.
        created_at: when it was made.
        cog_version: the version of the tool that packed it.
        openapi_schema: the OpenAPI description of its inputs and outputs.
        raw: the JSON as received.
    """

    id: str
    created_at: datetime | None = None
    cog_version: str | None = None
    openapi_schema: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class Model:
    """A model.

    Attributes:
        owner: the user or organization it belongs to.
        name: its name.
        url: its page.
        description: what it does.
        visibility: `public` or `private`.
        github_url: its source code.
        paper_url: its paper.
        license_url: its license.
        cover_image_url: its picture.
        run_count: how often it has been run.
        is_official: whether the service maintains it, and it needs no version.
        default_example: a prediction that shows it.
        latest_version: its newest version.
        raw: the JSON as received.
    """

    owner: str
    name: str
    url: str | None = None
    description: str | None = None
    visibility: str | None = None
    github_url: str | None = None
    paper_url: str | None = None
    license_url: str | None = None
    cover_image_url: str | None = None
    run_count: int | None = None
    is_official: bool | None = None
    default_example: Prediction | None = field(default=None, repr=False)
    latest_version: Version | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
