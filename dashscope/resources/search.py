"""Search for models, collections and pages."""

from __future__ import annotations

from typing import Final

from dashscope._api.decoding import structure
from dashscope._api.requestor import Call, Requestor
from dashscope._common.validation import check_count, check_text
from dashscope.types.search import (
    FoundCollection,
    FoundModel,
    FoundPage,
    SearchMetadata,
    SearchResults,
)

__all__ = [
    "FoundCollection",
    "FoundModel",
    "FoundPage",
    "SearchMetadata",
    "SearchResults",
]

MOST_RESULTS: Final = 50


async def search(api: Requestor, query: str, *, limit: int | None) -> SearchResults:
    """Search. `AsyncClient.search` describes the arguments."""
    check_text("query", query)
    if limit is not None:
        check_count("limit", limit, least=1, most=MOST_RESULTS)
    call = Call(method="GET", path="/search", params=[("query", query), ("limit", limit)])
    return structure(await api.send(call), SearchResults)
