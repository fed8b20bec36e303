"""Collections: curated groups of models."""

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
    """Collections of models: `client.collections`."""

    __slots__ = ()

    async def list(self, *, cursor: str | None = None) -> Page[Collection]:
        """List the collections, without their models.

        Args:
            cursor: The page to return: the `next` or `previous` of another page. Defaults to the
                first page.

        Returns:
            A page of collections.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            for collection in await client.collections.list():
                print(collection.slug, collection.name)
            ```

        Endpoint: `GET /collections`.
        """
        return await self._page(Collection, "/collections", cursor=cursor)

    async def get(self, slug: str) -> Collection:
        """Get a collection with its models.

        Args:
            slug: The short name of the collection, as in its URL.

        Returns:
            The collection.

        Raises:
            NotFoundError: If there is no such collection.

        Example:
            ```python
            collection = await client.collections.get(slug)
            print([model.name for model in collection.models or ()])
            ```

        Endpoint: `GET /collections/{collection_slug}`.
        """
        return await self._get(Collection, path("/collections/{slug}", slug=slug))
