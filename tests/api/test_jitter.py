"""Jitter uses its own random numbers, so seeded programs do not affect it."""

from __future__ import annotations

import multiprocessing
import random
from typing import Any

import pytest

from dashscope._common import random as _jitter
from dashscope.local.jobs.webhooks import retry_delay
from tests.servers.fake_server import FakeServer, prediction, reply


@pytest.fixture
def busy(fake_server: FakeServer) -> FakeServer:
    """A server whose responses all require a short retry delay."""
    running = [reply(prediction("processing"))] * 2
    busy = reply({"detail": "later"}, 429, retry_after="0.001")
    fake_server.respond_with(
        [busy, reply(prediction(), 201), *running, reply(prediction("succeeded", output=1))]
    )
    return fake_server


async def test_jitter_does_not_consume_random_numbers_of_the_program(
    scripted_client: Any, busy: FakeServer
) -> None:
    random.seed(1)
    expected = [random.random() for _ in range(3)]
    random.seed(1)
    assert await scripted_client.run("owner/name", {}) == 1
    retry_delay(3)
    assert [random.random() for _ in range(3)] == expected


def _drawn(seed: int) -> list[float]:
    random.seed(seed)
    return [_jitter.chance() for _ in range(3)]


@pytest.mark.parametrize(
    "method",
    [
        method if method == "fork" else pytest.param(method, marks=pytest.mark.soak)
        for method in multiprocessing.get_all_start_methods()
    ],
)
def test_processes_with_equal_seeds_have_different_jitter(method: str) -> None:
    with multiprocessing.get_context(method).Pool(2) as pool:
        first, second = pool.map(_drawn, [1, 1], chunksize=1)
        pool.close()
        pool.join()
    assert not set(first) & set(second)
    assert not set(first) & set(_drawn(1))
    assert all(0 <= number < 1 for number in first)
