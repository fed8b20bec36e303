"""Threads that share the connections of a sync client are served in FIFO order."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from dashscope import Client
from dashscope._transport.pool import limiter
from dashscope._transport.pool.limiter import ConnectionLimiter
from tests.servers.counting_server import CountingServer, pool_of
from tests.variants import variants
from tests.waiting import wait_until


def waiting(turns: ConnectionLimiter, taken: Callable[[], object]) -> threading.Thread:
    """Start a thread that is now waiting in the queue."""
    before = list(turns._waiting)
    thread = threading.Thread(target=taken)
    thread.start()
    wait_until(lambda: any(item not in before for item in list(turns._waiting)))
    return thread


@variants("number", range(20))
def test_a_releasing_thread_does_not_overtake_waiting_threads(number: int) -> None:
    turns = ConnectionLimiter(1)
    served: list[str] = []

    def take(name: str) -> None:
        turn = turns.acquire(5)
        assert turn is not None
        served.append(name)
        turns.release(turn)

    mine = turns.acquire(None)
    assert mine is not None
    thread = waiting(turns, lambda: take("who waited"))
    turns.release(mine)
    take("who comes again")
    thread.join()
    assert served == ["who waited", "who comes again"]


def test_threads_of_a_client_are_served_fairly(server: CountingServer) -> None:
    with (
        Client(base_url=server.base_url, max_connections=2) as client,
        ThreadPoolExecutor(8) as pool,
    ):
        list(pool.map(lambda _: client.account.get(), range(80)))
        assert len(pool_of(client._async._api.transport._get_client())._limiter) == 2
    assert server.max_connections <= 2
    assert len(server.paths) == 80


def test_waiters_are_served_in_order_despite_cancellations() -> None:
    turns = ConnectionLimiter(1)
    mine = turns.acquire(None)
    assert mine is not None
    served: list[str] = []

    def take(name: str, left: float | None) -> None:
        turn = turns.acquire(left)
        if turn is not None:
            served.append(name)
            turns.release(turn)

    threads = [
        waiting(turns, partial(take, name, left))
        for name, left in [("a", None), ("late", 0.5), ("b", None), ("late too", 0.5), ("c", None)]
    ]
    wait_until(lambda: len(turns._waiting) == 3)  # those two have given up
    turns.release(mine)
    for thread in threads:
        thread.join()
    assert served == ["a", "b", "c"]
    assert len(turns) == 1


def test_a_permit_granted_after_the_timeout_is_not_lost() -> None:
    turns = ConnectionLimiter(1)
    timed_out = threading.Event()

    class SlowQueue(deque[Any]):
        def popleft(self) -> Any:
            waiter = super().popleft()
            timed_out.wait(10)  # until the thread has given up
            return waiter

    turns._waiting = SlowQueue()

    def wait_twice() -> None:
        assert turns.acquire(0.5) is None
        timed_out.set()
        turn = turns.acquire(10)
        assert turn is not None
        turns.release(turn)

    mine = turns.acquire(None)
    assert mine is not None
    thread = waiting(turns, wait_twice)
    turns.release(mine)  # `mine` still refers to the permit
    thread.join()
    assert len(turns) == 1


def test_an_interrupt_while_waiting_leaves_the_queue_intact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Interrupted(limiter.Waiter):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            raise KeyboardInterrupt

    turns = ConnectionLimiter(1)
    mine = turns.acquire(None)
    assert mine is not None
    with monkeypatch.context() as patch:
        patch.setattr(limiter, "Waiter", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            turns.acquire(None)
    turns.release(mine)
    assert turns.acquire(0) is not None


def test_a_dropped_waiter_rejoins_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashscope._transport.pool.limiter.RECHECK_INTERVAL", 0.05)
    turns = ConnectionLimiter(1)
    mine = turns.acquire(None)
    assert mine is not None
    came = threading.Event()
    thread = waiting(turns, lambda: turns.acquire(5) and came.set())
    turns._waiting.popleft()  # like an interrupt between two lines
    time.sleep(0.01)
    turns.release(mine)
    assert came.wait(5)
    thread.join()
