"""Rate limits that processes share."""

from __future__ import annotations

import multiprocessing
import pickle
import time
from typing import Any

import pytest

from dashscope.integrations.postgres import shared_rate
from tests.distributed.database import Database

pytestmark = pytest.mark.distributed


def spend(rate: Any, count: int, times: Any) -> None:
    for _ in range(count):
        rate.acquire(5)
        times.append(time.time())


def test_four_processes_share_a_rate(database: Database) -> None:
    rate = pickle.loads(pickle.dumps(shared_rate(database.url, 50)))
    rate.acquire(1)
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        times = manager.list()
        workers = [context.Process(target=spend, args=(rate, 10, times)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        spent = sorted(times)
    # 195 permits after the first block of 5.
    measured = 195 / (spent[-1] - spent[0])
    assert 47.5 <= measured <= 52.5


def test_back_off_stops_all_workers(database: Database) -> None:
    first, second = (shared_rate(database.url, 1000) for _ in range(2))
    first.acquire()
    first.back_off(0.5)
    started = time.monotonic()
    second.acquire()
    assert time.monotonic() - started >= 0.4
