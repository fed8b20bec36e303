"""`Page`: a piece of a list, and where its neighbours are; and going through them.

`Pages` and `Items` are async generators in all but their making: they hold nothing open, and
one written with `yield` would have to be closed where it is left in the middle (trio says so).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

from dashscope._errors import APIResponseError
from dashscope.types.page import Page

T = TypeVar("T")


class _Steps(AsyncGenerator[T, None]):
    """What an async generator is to its user: over at its end, after an error and once closed."""

    def __init__(self) -> None:
        self._over = self._busy = False

    @abstractmethod
    async def _step(self) -> T:
        """The next item; at the end, StopAsyncIteration."""

    async def asend(self, value: None) -> T:
        if self._busy:
            raise RuntimeError("another task is waiting for the next item: use one at a time")
        if self._over:
            raise StopAsyncIteration
        self._busy = True
        try:
            return await self._step()
        except BaseException:
            self._over = True
            raise
        finally:
            self._busy = False

    async def athrow(self, typ: Any, val: Any = None, tb: Any = None) -> T:
        self._over = True
        raise typ if val is None else val

    async def aclose(self) -> None:
        """Give nothing any more."""
        self._over = True


def _checked(page: Page[T]) -> Page[T]:
    found: object = page  # whatever the caller's method gives
    if not isinstance(found, Page):
        raise TypeError(
            "the pages of a list come from a method such as client.predictions.list, "
            f"not from one that gives a {type(page).__name__}"
        )
    return page


class Pages(_Steps[Page[T]]):
    """The pages of a list, each asked for when it is wanted."""

    def __init__(
        self, ask: Callable[..., Awaitable[Page[T]]], arguments: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self._ask = ask
        self._arguments = arguments
        self._page: Page[T] | None = None
        self._seen: set[str] = set()

    async def _step(self) -> Page[T]:
        if self._page is None:
            self._page = _checked(await self._ask(**self._arguments))
            return self._page
        cursor = self._page.next
        if cursor is None or len(self._page) == 0:
            raise StopAsyncIteration
        if cursor in self._seen:
            raise APIResponseError(f"The pages of this list go round in circles: {cursor}")
        self._seen.add(cursor)
        self._page = _checked(await self._ask(**{**self._arguments, "cursor": cursor}))
        if len(self._page) == 0:
            raise StopAsyncIteration
        return self._page


class Items(_Steps[T]):
    """The items of pages, `most` of them at the most."""

    def __init__(self, pages: AsyncGenerator[Page[T], None], most: int | None) -> None:
        super().__init__()
        self._pages = pages
        self._left = most
        self._items: Iterator[T] = iter(())

    async def _step(self) -> T:
        if self._left is not None:
            if self._left == 0:
                raise StopAsyncIteration
            self._left -= 1
        while True:
            for item in self._items:
                return item
            self._items = iter(await anext(self._pages))
