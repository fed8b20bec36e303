"""What both ways to wait have in common: the interface the rest of the client is written to."""

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
"""Seconds that a call still gets to finish once its caller was cancelled."""


class Runtime(ABC):
    """What both ways to wait have in common: the interface the rest of the client is written to.

    Attributes:
        is_shared: whether workers run in the caller's own thread, taking turns with it.
        most_workers: how many workers make sense.
    """

    is_shared: ClassVar[bool]
    most_workers: ClassVar[int]

    def unopened(self, what: str, opening: str) -> RuntimeError:
        """The error for what is used without the `with` that opens it."""
        how = "async with" if self.is_shared else "with"
        return RuntimeError(f"{what} is opened by `{how}`: {how} {opening}")

    def __init__(self) -> None:
        forking.know(self)

    def __reduce__(self) -> str:
        raise TypeError(
            "what belongs to a client (a resource, a stream, a batch) is not pickled: "
            "make a client in the process that uses it"
        )

    @abstractmethod
    def bound(self, deadline: Deadline) -> AbstractContextManager[object]:
        """A block that is left, without an exception, when the deadline passes."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait."""

    @abstractmethod
    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run blocking work where it holds up nobody else."""

    @abstractmethod
    async def gather(
        self, calls: Sequence[Callable[[], Coroutine[Any, Any, None]]], *, limit: int
    ) -> None:
        """Run calls at the same time, `limit` at most; the first error ends the others."""

    @abstractmethod
    def lock(self, key: str) -> AbstractAsyncContextManager[None]:
        """A block that, of all with the same key, one is in at a time.

        Each event loop has its own turn; of the sync client, all threads share one.
        """

    @abstractmethod
    async def shield(
        self, call: Callable[[], Coroutine[Any, Any, T]], *, grace: float = GRACE
    ) -> T:
        """Run a call to its end even when the caller is cancelled, any number of times.

        Once the caller was cancelled, the call has `grace` seconds left; then the caller's
        cancellation goes on. What the call found out, it has to leave where the caller
        looks, since no result is returned in that case.
        """

    @abstractmethod
    def worker_group(self) -> WorkerGroup:
        """Workers that run beside the caller."""

    @abstractmethod
    def channel(self) -> Channel[Any]:
        """A channel between them and the caller."""

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
        """Return a queue that a task of its own fills, or `None` in a sync client."""

    @abstractmethod
    def iterate(self, name: str, items: Any) -> AsyncIterator[Any]:
        """The items of the user's, one at a time; refuses, by its name, what this flavor cannot."""

    @abstractmethod
    async def call(self, function: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        """Call a function of the user's, and await what it returns where that is an awaitable."""

    @abstractmethod
    def check_callback(self, name: str, function: object) -> None:
        """Refuse, by its parameter's name, a function that this flavor cannot call."""

    @abstractmethod
    def own(self, value: T) -> T:
        """A value that does I/O, in the flavor of the client it is handed to."""

    @abstractmethod
    async def aclose(self) -> None:
        """Wait for the calls that must run to their end."""

    @abstractmethod
    def loaded_later(self) -> Iterable[str]:
        """The modules that calls load on first use: before a fork, they are."""

    @abstractmethod
    def forget(self) -> None:
        """In a forked child: leave the parent's locks alone and start anew."""


def one_by_one(name: str, items: Any, what: str) -> AsyncIterator[Any]:
    """The items of a plain iterable behind `async for`.

    Raises:
        TypeError: when it is no iterable of items.
    """
    if not _is_iterable(items):
        raise TypeError(f"{name} is {what} of mappings, one a prediction, not {shown(items)}")
    return _OneByOne(iter(items))


def is_async_iterable(items: Any) -> TypeGuard[AsyncIterable[Any]]:
    """Is this gone through by `async for`?"""
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
