"""Workers and channels with tasks, for the async client."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import current_token
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from dashscope._runtime.tasks import Task, start_task
from dashscope._runtime.workers import Channel, ClosedError, WorkerGroup

T = TypeVar("T")


class TaskChannel(Channel[T]):
    """A channel between tasks of one event loop."""

    def __init__(self) -> None:
        streams = anyio.create_memory_object_stream[T](float("inf"))
        self._in: MemoryObjectSendStream[T] = streams[0]
        self._out: MemoryObjectReceiveStream[T] = streams[1]
        self._is_closed = False

    def put(self, item: T) -> None:
        if not self._is_closed:
            self._in.send_nowait(item)

    async def get(self, seconds: float | None = None) -> T | None:
        if not self._is_closed:
            try:
                with anyio.move_on_after(seconds):
                    return await self._out.receive()
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                pass
            else:
                return None
        raise ClosedError

    def close(self) -> None:
        # Closing both ends wakes up the waiting tasks.
        self._is_closed = True
        self._in.close()
        self._out.close()


class TaskWorkerGroup(WorkerGroup):
    """Workers that run in separate tasks, outside the caller's cancel scopes."""

    def __init__(self) -> None:
        self._loop = current_token()
        self._tasks: list[Task[None]] = []

    @property
    def is_here(self) -> bool:
        return current_token() == self._loop

    def start(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(start_task(call))

    async def join(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for task in self._tasks:
            await task.wait_out(max(0.0, end - time.monotonic()))

    def drop(self) -> None:
        for task in self._tasks:
            if not task.done():
                task.cancel()
