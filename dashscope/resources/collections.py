"""Collections: models that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from dashscope._api.pagination import Page
from dashscope._api.resource import AsyncResource
from dashscope._common.urls import path
from dashscope.resources.models import Model


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


class AsyncCollections(AsyncResource):
    """`client.collections`."""

    __slots__ = ()

    async def list(self, *, cursor: str | None = None) -> Page[Collection]:
        """List the collections, without their models.

        Endpoint: `GET /collections`.
        """
        return await self._page(Collection, "/collections", cursor=cursor)

    async def get(self, slug: str) -> Collection:
        """Get a collection with its models.

        Endpoint: `GET /collections/{collection_slug}`.
        """
        return await self._get(Collection, path("/collections/{slug}", slug=slug))
