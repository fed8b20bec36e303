"""Iterating over the pages and the items of a list."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from dashscope._errors import APIResponseError
from dashscope.types.page import Page

T = TypeVar("T")


async def pages(
    fetch: Callable[..., Awaitable[Page[T]]], arguments: Mapping[str, Any]
) -> AsyncGenerator[Page[T], None]:
    """Yield the pages of a list, each fetched when it is needed.

    Args:
        fetch: Returns a page.
        arguments: The arguments for `fetch`. A `cursor` is added from the second page on.

    Raises:
        TypeError: If `fetch` does not return a page.
        APIResponseError: If a page links to an earlier one.
    """
    page = _checked(await fetch(**arguments))
    yield page
    seen: set[str] = set()
    while len(page) > 0 and (cursor := page.next) is not None:
        if cursor in seen:
            raise APIResponseError(f"The pages of a list form a cycle, at {cursor}.")
        seen.add(cursor)
        page = _checked(await fetch(**{**arguments, "cursor": cursor}))
        if len(page) > 0:
            yield page


async def items(
    pages: AsyncGenerator[Page[T], None], max_items: int | None
) -> AsyncGenerator[T, None]:
    """Yield the items of pages, at most `max_items`."""
    left = max_items
    if left == 0:
        return
    async with aclosing(pages):
        async for page in pages:
            for item in page:
                yield item
                if left is not None:
                    left -= 1
                    if left == 0:
                        return


def _checked(page: Page[T]) -> Page[T]:
    found: object = page  # the caller's method may return anything
    if not isinstance(found, Page):
        raise TypeError(
            f"method must return pages, like client.predictions.list, not {type(found).__name__}"
        )
    return page
