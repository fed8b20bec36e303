"""Collections: models that belong together."""

from __future__ import annotations

from dashscope._api.resource import AsyncResource
from dashscope._common.urls import path
from dashscope.types.collection import Collection
from dashscope.types.page import Page

__all__ = [
    "AsyncCollections",
    "Collection",
]


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
