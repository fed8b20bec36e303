"""The parts that the generated classes use."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from itertools import chain
from types import MethodType, TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Self, TypeVar, cast, overload

from dashscope._common.cached_property import copy_without_cached
from dashscope._runtime.drive import drive
from dashscope._runtime.read_ahead import TWO_READERS
from dashscope.types.http import RawResponse

P = ParamSpec("P")
T = TypeVar("T")


def drive_next(coroutine: Coroutine[Any, Any, T], of: AsyncGenerator[Any, None] | None = None) -> T:
    """Run `__anext__` of an async iterator, with the end of a plain iterator.

    Args:
        coroutine: The call of `__anext__`.
        of: The generator, if the iterator is one.

    Raises:
        StopIteration: At the end.
    """
    try:
        return drive(coroutine, of)
    except StopAsyncIteration:
        pass
    raise StopIteration


def each(async_impl: Any) -> Iterator[Any]:
    """Iterate over an async iterator, without a coroutine for each item that is already there.

    Args:
        async_impl: The async iterator. Its `_reading` iterates over the available items. Its
            `_read_on()` loads more, and returns false at the end.
    """
    try:
        # `chain` keeps `_reading` open when this iterator is closed, so that others can continue.
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
    """Enter an async context manager. An interrupt just before the block exits it again.

    Such an interrupt is too late for `__aenter__` and too early for `with`.
    """
    entered: list[object] = []

    async def note() -> None:
        entered.append(await async_impl.__aenter__())

    try:
        drive(note())
        return facade  # noqa: TRY300 (an interrupt may still arrive here)
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
    """Exit an async context manager, and exit it again if an interrupt breaks in.

    Exiting twice is harmless for all classes of this package.
    """
    try:
        drive(async_impl.__aexit__(kind, error, traceback))
    except BaseException:
        drive(async_impl.__aexit__(kind, error, traceback))
        raise


class Facade:
    """The base of the sync classes. Each drives an async object."""

    def __init__(self, async_impl: Any) -> None:
        self._async = async_impl

    def __repr__(self) -> str:
        if not hasattr(
            self, "_async"
        ):  # the constructor failed, and a traceback shows its variables
            return object.__repr__(self)
        return repr(self._async).replace("Async", "", 1)


F = TypeVar("F", bound=Facade)


def view(facade: F, async_impl: Any) -> F:
    """Return a copy of a facade over another async object."""
    copied = copy_without_cached(facade)
    vars(copied)["_async"] = async_impl
    return copied


class RawMethod(Generic[P, T]):
    """An operation of a sync resource that returns the response with its value."""

    def __init__(self, method: Callable[Concatenate[Any, P], T]) -> None:
        self._method = method

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, instance: Facade, owner: type[Any]) -> Callable[P, RawResponse[T]]: ...
    def __get__(
        self, instance: Facade | None, owner: type[Any]
    ) -> Self | Callable[P, RawResponse[T]]:
        if instance is None:
            return self
        method = self._method

        @functools.wraps(method)
        def call(facade: Any, *args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
            found: RawResponse[T] = drive(getattr(facade._async, method.__name__)(*args, **kwargs))
            return found

        return cast("Callable[P, RawResponse[T]]", MethodType(call, instance))


class ClosingIterator(Iterator[T], Generic[T]):
    """An async generator as an iterator.

    The generator is closed by `close()`, by exiting its `with` block, or when it is dropped.
    """

    __slots__ = ("_generator",)

    def __init__(self, generator: AsyncGenerator[T, None]) -> None:
        self._generator = generator

    def __next__(self) -> T:
        return drive_next(_next(self._generator), self._generator)

    def close(self) -> None:
        """Close the generator."""
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
