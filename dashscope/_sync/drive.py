"""`drive()`: run a coroutine that never suspends, without an event loop.

What the generated classes of `generated.py` are made of.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Coroutine, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")

_NO_HOOKS: Final = (None, None)


def drive(coroutine: Coroutine[Any, Any, T], of: AsyncGenerator[Any, None] | None = None) -> T:
    """Run a coroutine to its end in the calling thread.

    Args:
        coroutine: the coroutine.
        of: the generator that it is a step of.

    Raises:
        RuntimeError: when it suspends: there is nothing here that could wake it up.
    """
    # Under a running loop (a notebook), our async generators are none of its business.
    hooks = sys.get_asyncgen_hooks()
    is_under_loop = hooks != _NO_HOOKS
    if is_under_loop:
        sys.set_asyncgen_hooks(None, None)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        if is_under_loop:
            sys.set_asyncgen_hooks(*hooks)
    name, where = _ends(coroutine, of)
    error = RuntimeError(f"{name} suspended in {where}: in the blocking client nothing may")
    with contextlib.suppress(BaseException):
        coroutine.throw(error)  # an async generator in the middle of a step cannot be closed
    with contextlib.suppress(BaseException):
        coroutine.close()
    raise error


def drive_next(coroutine: Coroutine[Any, Any, T], of: AsyncGenerator[Any, None] | None = None) -> T:
    """Run an async iterator's `__anext__`; its end is a plain iterator's.

    Args:
        coroutine: the call of `__anext__`.
        of: the generator, where it is one.

    Raises:
        StopIteration: at the end.
    """
    try:
        return drive(coroutine, of)
    except StopAsyncIteration:
        pass
    raise StopIteration


def each(twin: Any) -> Iterator[Any]:
    """The items of an async iterator, without a coroutine for those that are there.

    Args:
        twin: the async iterator: its `_reading` iterates over the items that are there, and its
            `_read_on()` gets more, or says that there are none.
    """
    return chain.from_iterable(_batches(twin))


def _batches(twin: Any) -> Iterator[Iterable[Any]]:
    yield twin._reading
    while drive(twin._read_on()):
        yield twin._reading


def _ends(coroutine: Any, generator: Any) -> tuple[str, str]:
    """The names of what was driven and of what it awaits at the bottom, which suspended."""
    driven = coroutine if generator is None else generator
    name = bottom = getattr(driven, "__qualname__", type(driven).__qualname__)
    awaited = getattr(driven, "cr_await", None) or getattr(driven, "ag_await", None)
    while awaited is not None:
        bottom = getattr(awaited, "__qualname__", type(awaited).__qualname__)
        awaited = getattr(awaited, "cr_await", None)
    return name, bottom


def enter(facade: T, twin: Any) -> T:
    """Enter the async context manager; an interrupt just before the block leaves it again.

    It would come too late for the `__aenter__`, and too early for the `with`.
    """
    entered: list[object] = []

    async def note() -> None:
        entered.append(await twin.__aenter__())

    try:
        drive(note())
        return facade  # noqa: TRY300 (this line belongs to what is tried)
    except BaseException as error:
        if entered:
            leave(twin, type(error), error, error.__traceback__)
        raise


def leave(
    twin: Any,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """Leave the async context manager, once more where an interrupt came in between.

    Leaving one twice does no harm, as everywhere here.
    """
    try:
        drive(twin.__aexit__(kind, error, traceback))
    except BaseException:
        drive(twin.__aexit__(kind, error, traceback))
        raise


class Facade:
    """The blocking face of an async object."""

    def __init__(self, twin: Any) -> None:
        self._async = twin

    def __repr__(self) -> str:
        if not hasattr(self, "_async"):  # its making failed, and a traceback shows its variables
            return object.__repr__(self)
        return repr(self._async).replace("Async", "", 1)


class ClosingIterator(Iterator[T], Generic[T]):
    """An async generator as an iterator; closing it, leaving its `with` or losing it ends it."""

    __slots__ = ("_generator",)

    def __init__(self, generator: AsyncGenerator[T, None]) -> None:
        self._generator = generator

    def __next__(self) -> T:
        return drive_next(_next(self._generator), self._generator)

    def close(self) -> None:
        """End it; what it holds open is closed."""
        drive(_close(self._generator), self._generator)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


async def _next(generator: AsyncGenerator[T, None]) -> T:
    return await anext(generator)


async def _close(generator: AsyncGenerator[Any, None]) -> None:
    await generator.aclose()
