"""Models and their versions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from dashscope.types._value import Value
from dashscope.types.prediction import Prediction


@frozen(kw_only=True, repr=False)
class Version(Value):
    """A version of a model.

    Attributes:
        id: The id, 64 hexadecimal digits.
        created_at: When the version was created.
        cog_version: The version of the tool that packaged the model.
        openapi_schema: The OpenAPI schema of the inputs and the output.
        raw: The JSON as received.
    """

    id: str
    created_at: datetime | None = None
    cog_version: str | None = None
    openapi_schema: Mapping[str, Any] | None = field(default=None, hash=False, repr=False)
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class Model(Value):
    """A model.

    Attributes:
        owner: The user or organization that owns the model.
        name: The name.
        url: The URL of the model's page.
        description: A short description.
        visibility: `public` or `private`.
        github_url: The URL of the source code.
        paper_url: The URL of the paper.
        license_url: The URL of the license.
        cover_image_url: The URL of the cover image.
        run_count: How often the model was run.
        is_official: Whether the service maintains the model, so that no version is needed.
        default_example: An example prediction.
        latest_version: The latest version.
        raw: The JSON as received.
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
