"""`Runtime`: the interface of both ways to wait."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ClassVar, Final, TypeGuard, TypeVar

from dashscope._common.deadline import Deadline
from dashscope._common.validation import shown
from dashscope._runtime import forking
from dashscope._runtime.read_ahead import ReadAhead
from dashscope._runtime.workers import Channel, WorkerGroup

T = TypeVar("T")

GRACE: Final = 5.0
"""Seconds that a shielded call may take after its caller is canceled."""


class Runtime(ABC):
    """The interface of both ways to wait.

    Attributes:
        is_shared: Whether workers run in the caller's own thread.
        most_workers: The number of workers that is useful at most.
    """

    is_shared: ClassVar[bool]
    most_workers: ClassVar[int]

    def unopened(self, what: str, opening: str) -> RuntimeError:
        """Return the error for an object that is used outside its `with` block."""
        how = "async with" if self.is_shared else "with"
        return RuntimeError(f"{what} must be entered first: {how} {opening}")

    def __init__(self) -> None:
        forking.know(self)

    def __reduce__(self) -> str:
        raise TypeError(
            "resources, streams and batches of a client cannot be pickled: "
            "create a client in the process that uses them"
        )

    @abstractmethod
    def bound(self, deadline: Deadline) -> AbstractContextManager[object]:
        """Return a block that ends at a deadline, without an exception."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Sleep."""

    @abstractmethod
    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run blocking work without blocking the event loop.

        If the caller is canceled, the cancellation is raised when the work has ended.
        """

    @abstractmethod
    async def gather(
        self, calls: Sequence[Callable[[], Coroutine[Any, Any, None]]], *, limit: int
    ) -> None:
        """Run calls concurrently, at most `limit` at once. The first error cancels the others."""

    @abstractmethod
    def lock(self, key: str) -> AbstractAsyncContextManager[None]:
        """Return a block that is entered by one caller per key at a time.

        Each event loop has its own locks. The threads of a sync client share them.
        """

    @abstractmethod
    async def shield(
        self, call: Callable[[], Coroutine[Any, Any, T]], *, grace: float = GRACE
    ) -> T:
        """Run a call to completion even if the caller is canceled, any number of times.

        After a cancellation the call has `grace` seconds left. Then the cancellation is raised. The
        call must store its result, because it is not returned in that case.
        """

    @abstractmethod
    def worker_group(self) -> WorkerGroup:
        """Return a group of workers that run concurrently with the caller."""

    @abstractmethod
    def channel(self) -> Channel[Any]:
        """Return a channel between workers and the caller."""

    @abstractmethod
    async def poll_beside(
        self,
        listen: Callable[[], Coroutine[Any, Any, bool]],
        poll: Callable[[], Coroutine[Any, Any, bool]],
        pause: Callable[[], float],
    ) -> bool:
        """Listen, and poll beside it, until either returns true or listening ends.

        Args:
            listen: Listens, and returns whether what was waited for has happened.
            poll: Polls, and returns the same.
            pause: Returns the seconds until the next poll.

        Returns:
            Whether either of them returned true.
        """

    @abstractmethod
    def read_ahead(
        self, produce: Callable[[ReadAhead[T]], Coroutine[Any, Any, None]]
    ) -> ReadAhead[T] | None:
        """Return a queue that a separate task fills, or `None` in a sync client."""

    @abstractmethod
    def iterate(self, name: str, items: Any) -> AsyncIterator[Any]:
        """Return an iterator over the user's items. Raise if this flavor does not support them."""

    @abstractmethod
    async def call(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        """Call a function of the user's, and await its result if it is awaitable."""

    @abstractmethod
    async def call_blocking(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function of the user's that may block: in a thread, if it is not a coroutine."""

    @abstractmethod
    def check_callback(self, name: str, function: object) -> None:
        """Raise if this flavor cannot call a function. `name` is the name of the parameter."""

    @abstractmethod
    def own(self, value: T) -> T:
        """Return a value that does I/O, in the flavor of the client."""

    @abstractmethod
    async def aclose(self) -> None:
        """Wait for shielded calls to finish."""

    @abstractmethod
    def loaded_later(self) -> Iterable[str]:
        """Return the modules that calls import on first use."""

    @abstractmethod
    def forget(self) -> None:
        """Start afresh in a forked child, without touching the parent's locks."""


def one_by_one(name: str, items: Any, what: str) -> AsyncIterator[Any]:
    """Return the items of a plain iterable as an async iterator.

    Raises:
        TypeError: If `items` is not an iterable of items.
    """
    if not _is_iterable(items):
        raise TypeError(f"{name} must be {what} of mappings, not {shown(items)}")
    return _OneByOne(iter(items))


def is_async_iterable(items: Any) -> TypeGuard[AsyncIterable[Any]]:
    """Return whether items are iterated over with `async for`."""
    return isinstance(items, AsyncIterable)


def _is_iterable(items: Any) -> TypeGuard[Iterable[Any]]:
    return isinstance(items, Iterable) and not isinstance(items, str | bytes | bytearray | Mapping)


class _OneByOne(AsyncIterator[Any]):
    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    async def __anext__(self) -> Any:
        try:
            return next(self._items)
        except StopIteration:
            pass
        raise StopAsyncIteration
