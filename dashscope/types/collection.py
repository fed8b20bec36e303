"""Collections: curated groups of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope.types._value import Value
from dashscope.types.model import Model


@frozen(kw_only=True, repr=False)
class Collection(Value):
    """A curated group of models.

    Attributes:
        slug: The name in URLs.
        name: The display name.
        description: A short description.
        full_description: A long description, in Markdown.
        models: The models. `None` in a list of collections.
        raw: The JSON as received.
    """

    slug: str
    name: str | None = None
    description: str | None = None
    full_description: str | None = None
    models: tuple[Model, ...] | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
