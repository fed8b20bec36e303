"""The retry quota: a dead server does not receive the retries of all requests at once."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from dashscope import (
    APIConnectionError,
    APIError,
    InternalServerError,
    RateLimitError,
)
from tests import flavors
from tests.faults.test_table import run_at_once
from tests.servers.fake_server import FakeServer, Reply, prediction, reply
from tests.servers.fault_proxy import Fault, Line, Proxy
from tests.servers.faults import BROKEN, STALLS
from tests.variants import variants

pytestmark = [pytest.mark.usefixtures("no_jitter")]

READ_TIMEOUT = 0.2
"""Seconds without a response after which a request is retried."""
RESET = next(case.fault for case in BROKEN if str(case) == "reset after the request")
SILENT = next(case.fault for case in STALLS if str(case) == "no response")


@pytest.fixture(params=[20, pytest.param(100, marks=pytest.mark.soak)])
def requests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The number of concurrent requests. The capacity of the quota is five times as large."""
    number: int = request.param
    monkeypatch.setattr("dashscope._api.retry.RetryQuota.CAPACITY", 5 * number)
    return number


@pytest.fixture
def line(proxy: Proxy, server: FakeServer) -> Line:
    server.requests.clear()
    return proxy.line()


def run_concurrently(
    flavor: str, number: int, line: Line, call: Callable[[Any], Awaitable[Any]], **options: Any
) -> list[Any]:
    """Return the errors of this number of calls that one client makes concurrently."""
    client = flavors.make_client(flavor, base_url=line.base_url, **options)

    async def body() -> BaseException | None:
        try:
            await call(client)
        except APIError as error:
            return error
        return None

    results = run_at_once(flavor, [body] * number, most=number)
    close(flavor, client)
    return results


def close(flavor: str, client: Any) -> None:
    async def body() -> None:
        await client.aclose()

    run_at_once(flavor, [body])


DEAD = {"answers 503": None, "resets": RESET, "is silent": SILENT}


@pytest.mark.parametrize("fault", DEAD.values(), ids=DEAD)
def test_the_quota_limits_retries_of_hundreds_of_requests(
    flavor: str, requests: int, line: Line, server: FakeServer, fault: Fault | None
) -> None:
    server.respond_with(reply({}, 503))
    line.choose = lambda _: fault
    line.listen()
    hasty = {"request": [lambda request: attrs.evolve(request, read_timeout=READ_TIMEOUT)]}
    options: dict[str, Any] = {"event_hooks": hasty} if fault is SILENT else {}
    errors = run_concurrently(
        flavor, requests, line, lambda client: client.account.get(), **options
    )
    assert all(isinstance(error, APIError) for error in errors)
    assert len(line.requests) == sum(error.attempts for error in errors)
    # Without the quota: 6 attempts per request. The first retry costs 1, and each further retry 5,
    # or 10 after a timeout: all requests are retried once before any is retried twice. Concurrent
    # threads may each pay once.
    most = 2 * requests + 4 * requests // (10 if fault is SILENT else 5)
    assert 1.6 * requests <= len(line.requests) <= most + 0.2 * requests


def test_the_quota_limits_retries_of_refused_connections(
    flavor: str, requests: int, line: Line
) -> None:
    errors = run_concurrently(
        flavor, requests, line, lambda client: client.predictions.create(version="v", input={})
    )
    assert all(isinstance(error, APIConnectionError) for error in errors)
    assert not any(error.may_have_been_created for error in errors)
    attempts = sum(error.attempts for error in errors)
    assert 1.6 * requests <= attempts <= 3 * requests


def test_streams_and_downloads_share_the_retry_quota(
    flavor: str,
    requests: int,
    line: Line,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A stream that failed is replaced by polls, which do not use the quota: here a single poll.
    monkeypatch.setattr("dashscope._predictions.watch.MAX_OUTAGE", 0.0)

    def script(received: Any) -> Reply:
        if received.method == "POST":
            urls = {"stream": f"{line.base_url}/streams/x"}
            return reply(prediction("processing", urls=urls), 201)
        return reply({}, 503)

    server.respond_with(script)
    line.listen()

    async def stream(client: Any) -> None:
        async with client.stream("owner/name", {}, cancel_on_exit=False) as stream:
            async for _ in stream:
                pass

    errors = run_concurrently(flavor, requests, line, stream)
    assert all(isinstance(error, InternalServerError) for error in errors)
    requested = [head for head in line.requests if b"/streams/" in head.partition(b"\r\n")[0]]
    # Without the quota: 9 for each stream, and then 6 polls. Each prediction is polled.
    assert len(requested) <= 7 * requests
    assert len(line.requests) - len(requested) - requests <= 2 * requests


def test_a_recovered_server_receives_all_requests(
    flavor: str, requests: int, line: Line, server: FakeServer
) -> None:
    server.respond_with(reply({}, 503))
    line.listen()
    client = flavors.make_client(flavor, base_url=line.base_url)

    async def call() -> int | None:
        try:
            await client.account.get()
        except APIError as error:
            return error.attempts
        return None

    assert max(run_at_once(flavor, [call] * requests)) > 1
    while run_at_once(flavor, [call]) != [1]:
        pass  # until the quota is exhausted
    server.respond_with(reply({"username": "a"}))
    assert not any(run_at_once(flavor, [call] * requests))
    server.respond_with([reply({}, 503), reply({}, 503), reply({"username": "a"})])
    assert run_at_once(flavor, [call]) == [None]
    close(flavor, client)


async def test_errors_and_logs_contain_attempts_and_duration(
    make_client: Any,
    fake_server: FakeServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.2)
    caplog.set_level(logging.INFO, logger="dashscope")
    client = make_client(base_url=fake_server.base_url, max_retries=2)
    fake_server.respond_with([reply({}, 503), reply({}, 429, retry_after="0.05"), reply({}, 500)])
    with pytest.raises(InternalServerError) as caught:
        await client.account.get()
    error = caught.value
    assert error.attempts == 3
    assert 0.15 <= error.elapsed < 5
    assert f"after 3 attempts in {error.elapsed:.1f} s" in str(error)
    message = [record.getMessage() for record in caplog.records]
    url = re.escape(f"GET {fake_server.base_url}/account")
    for line, pattern in zip(
        message,
        (
            url + r": 503 after \d\.\d\d s; attempt 2 follows in 0\.10 s",
            url + r": 429 after \d\.\d\d s; attempt 3 follows in 0\.20 s",
            url + r": 500; gave up after 3 attempt\(s\) in \d\.\d\d s",
        ),
        strict=True,
    ):
        assert re.fullmatch(pattern, line)


@variants(
    "last",
    [reply({}, 422), Reply(200, {}, b"x" * 2000), Reply(200, {}, b"<html>"), reply([])],
    ids=["422", "too large", "instead of JSON", "no account"],
)
async def test_every_error_has_its_earlier_attempts(
    make_client: Any, fake_server: FakeServer, last: Reply
) -> None:
    client = make_client(base_url=fake_server.base_url, max_response_bytes=1000)
    fake_server.respond_with([reply({}, 503), reply({}, 503), last])
    with pytest.raises(APIError) as caught:
        await client.account.get()
    assert caught.value.attempts == 3
    assert caught.value.elapsed > 0


async def test_a_retry_after_that_is_too_long_raises_at_once(
    make_client: Any, fake_server: FakeServer
) -> None:
    client = make_client(base_url=fake_server.base_url)
    fake_server.respond_with([reply({}, 503), reply({}, 429, retry_after="600")])
    with pytest.raises(RateLimitError) as caught:
        await client.account.get()
    assert (caught.value.attempts, caught.value.retry_after) == (2, 600.0)


async def test_an_exhausted_quota_is_logged(
    make_client: Any,
    fake_server: FakeServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dashscope._api.retry.RetryQuota.CAPACITY", 50)
    caplog.set_level(logging.INFO, logger="dashscope")
    client = make_client(base_url=fake_server.base_url, max_retries=1000)
    fake_server.respond_with(reply({}, 503))
    with pytest.raises(InternalServerError) as caught:
        await client.account.get()
    assert caught.value.attempts == 1 + 1 + 9
    message = [record.getMessage() for record in caplog.records]
    assert [line for line in message if "quota is empty" in line] == message[-2:-1]
