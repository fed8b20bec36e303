"""Collections of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope.types.model import Model


@frozen(kw_only=True)
class Collection:
    """A collection of models.

    Attributes:
        slug: its name in URLs.
        name: its name for people.
        description: what its models do.
        full_description: the same at length, in Markdown.
        models: the models; `None` in a list of collections.
        raw: the JSON as received.
    """

    slug: str
    name: str | None = None
    description: str | None = None
    full_description: str | None = None
    models: tuple[Model, ...] | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
