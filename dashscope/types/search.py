"""Search results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope.types._value import Value
from dashscope.types.model import Model


@frozen(kw_only=True, repr=False)
class SearchMetadata(Value):
    """What the search index contains about a model.

    Attributes:
        generated_description: A long description, written by a model.
        tags: The topics.
        score: How well the model matches the query.
        raw: The JSON as received.
    """

    generated_description: str | None = None
    tags: tuple[str, ...] | None = None
    score: float | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class FoundModel(Value):
    """A model in search results.

    Attributes:
        model: The model.
        metadata: What the search index contains about the model.
        raw: The JSON as received.
    """

    model: Model
    metadata: SearchMetadata | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class FoundCollection(Value):
    """A collection in search results.

    Attributes:
        slug: The name in URLs.
        name: The display name.
        description: A short description.
        models: The models, as `owner/name`.
        raw: The JSON as received.
    """

    slug: str
    name: str | None = None
    description: str | None = None
    models: tuple[str, ...] | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class FoundPage(Value):
    """A documentation page in search results.

    Attributes:
        name: The title.
        href: The path.
        raw: The JSON as received.
    """

    name: str
    href: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class SearchResults(Value):
    """The results of a search.

    Attributes:
        query: The text that was searched for.
        models: The models.
        collections: The collections.
        pages: The documentation pages.
        raw: The JSON as received.
    """

    query: str | None = None
    models: tuple[FoundModel, ...] | None = None
    collections: tuple[FoundCollection, ...] | None = None
    pages: tuple[FoundPage, ...] | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
