"""The state that a client shares with its `with_options()` views."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeAlias

from dashscope._api.clock import ServerClock
from dashscope._api.polling import Pace
from dashscope._api.retry import RetryQuota
from dashscope._common.deadline import Deadline
from dashscope._errors import APIError
from dashscope._runtime.runtime import GRACE, Runtime
from dashscope._transport.pool import CLOSED

MOST_STREAMS: Final = 100
"""Each stream takes a connection for as long as its prediction runs."""
MOST_CANCELLED_AT_ONCE: Final = 16

Cancellable: TypeAlias = Callable[[BaseException | None], Coroutine[Any, Any, None]]
"""Cancels what an open operation created and has not finished, because of an error or `None`."""


class StreamSlots:
    """Limits how many streams a client listens to at the same time."""

    def __init__(self, max_connections: int) -> None:
        # At most half of the connections: creating and canceling need some too.
        self._free = min(MOST_STREAMS, max_connections // 2)

    def acquire(self) -> bool:
        """Take a slot. Return whether one was free."""
        # Races between threads cost accuracy only.
        if self._free <= 0:
            return False
        self._free -= 1
        return True

    def release(self) -> None:
        """Return the slot."""
        self._free += 1


class ClientState:
    """The state that a client shares with its views.

    Attributes:
        quota: The retry quota.
        pace: The polling pace.
        clock: The difference between the server's clock and ours.
        stream_slots: The limit on simultaneous streams.
        open_operations: The operations to cancel when the client is closed.
        is_closing: Whether the client is being closed, so that nothing more may be created.
    """

    def __init__(self, max_connections: int) -> None:
        self.quota = RetryQuota()
        self.pace = Pace()
        self.clock = ServerClock()
        self.stream_slots = StreamSlots(max_connections)
        self.open_operations: set[Cancellable] = set()
        self.is_closing = False
        self._creates: set[object] = set()

    @contextmanager
    def creating(self) -> Generator[None, None, None]:
        """A block that creates something, and then adds it to the open operations.

        Raises:
            RuntimeError: If the client is being closed.
        """
        create = object()
        self._creates.add(create)
        try:
            if self.is_closing:
                raise RuntimeError(CLOSED)
            yield
        finally:
            self._creates.discard(create)

    async def close(self, runtime: Runtime) -> None:
        """Let creates in progress finish, and cancel what is open."""
        self.is_closing = True
        deadline = Deadline.after(GRACE)
        while self._creates and not deadline.expired:
            await runtime.sleep(0.01)
        if self.open_operations:
            await self.cancel_open_operations(runtime)

    async def cancel_open_operations(self, runtime: Runtime) -> None:
        """Cancel every open operation, because the client is being closed."""

        async def cancel(operation: Cancellable) -> None:
            with suppress(APIError):  # it was logged, and there is no caller to raise to
                await operation(None)

        # A copy, because other threads may start and finish operations.
        calls = [partial(cancel, operation) for operation in self.open_operations.copy()]
        await runtime.gather(calls, limit=MOST_CANCELLED_AT_ONCE)
