"""Search results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope.types.model import Model


@frozen(kw_only=True)
class SearchMetadata:
    """What the search knows of a model.

    Attributes:
        generated_description: a description at length, made by a model.
        tags: what it is about.
        score: how well it fits.
        raw: the JSON as received.
    """

    generated_description: str | None = None
    tags: tuple[str, ...] | None = None
    score: float | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class FoundModel:
    """A model that was found.

    Attributes:
        model: the model.
        metadata: what the search knows of it.
        raw: the JSON as received.
    """

    model: Model
    metadata: SearchMetadata | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class FoundCollection:
    """A collection that was found.

    Attributes:
        slug: its name in URLs.
        name: its name for people.
        description: what its models do.
        models: `owner/name` of each model.
        raw: the JSON as received.
    """

    slug: str
    name: str | None = None
    description: str | None = None
    models: tuple[str, ...] | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class FoundPage:
    """A page of the documentation that was found.

    Attributes:
        name: its title.
        href: its path.
        raw: the JSON as received.
    """

    name: str
    href: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class SearchResults:
    """What a search found.

    Attributes:
        query: what was looked for.
        models: the models.
        collections: the collections.
        pages: the pages of the documentation.
        raw: the JSON as received.
    """

    query: str | None = None
    models: tuple[FoundModel, ...] | None = None
    collections: tuple[FoundCollection, ...] | None = None
    pages: tuple[FoundPage, ...] | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
