"""What the generated classes of `generated.py` are made of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Iterator
from itertools import chain
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from dashscope._common.cached_property import copy_without_cached
from dashscope._runtime.drive import drive
from dashscope._runtime.read_ahead import TWO_READERS

T = TypeVar("T")


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


def each(async_impl: Any) -> Iterator[Any]:
    """The items of an async iterator, without a coroutine for those that are there.

    Args:
        async_impl: the async iterator: its `_reading` iterates over the items that are there,
            and its `_read_on()` gets more, or says that there are none.
    """
    try:
        # Within `chain`, what is read is not closed with this iterator: others go on with it.
        yield from chain(async_impl._reading)
        while drive(async_impl._read_on()):
            yield from chain(async_impl._reading)
    except ValueError as error:
        if "already executing" not in str(error):
            raise
        reason = error
    else:
        return
    raise RuntimeError(TWO_READERS) from reason


def enter_block(facade: T, async_impl: Any) -> T:
    """Enter the async context manager; an interrupt just before the block leaves it again.

    It would come too late for the `__aenter__`, and too early for the `with`.
    """
    entered: list[object] = []

    async def note() -> None:
        entered.append(await async_impl.__aenter__())

    try:
        drive(note())
        return facade  # noqa: TRY300 (this line belongs to what is tried)
    except BaseException as error:
        if entered:
            exit_block(async_impl, type(error), error, error.__traceback__)
        raise


def exit_block(
    async_impl: Any,
    kind: type[BaseException] | None,
    error: BaseException | None,
    traceback: TracebackType | None,
) -> None:
    """Leave the async context manager, once more where an interrupt came in between.

    Leaving one twice does no harm, as everywhere here.
    """
    try:
        drive(async_impl.__aexit__(kind, error, traceback))
    except BaseException:
        drive(async_impl.__aexit__(kind, error, traceback))
        raise


class Facade:
    """The sync face of an async object."""

    def __init__(self, async_impl: Any) -> None:
        self._async = async_impl

    def __repr__(self) -> str:
        if not hasattr(self, "_async"):  # its making failed, and a traceback shows its variables
            return object.__repr__(self)
        return repr(self._async).replace("Async", "", 1)


F = TypeVar("F", bound=Facade)


def view(facade: F, async_impl: Any) -> F:
    """Return a copy of a facade over another async object."""
    copied = copy_without_cached(facade)
    vars(copied)["_async"] = async_impl
    return copied


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
