"""Retries, counted at the server: which requests are retried, and how often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import attrs
import pytest

from dashscope import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    Client,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)
from tests.resources.contract import FULL, NOT_JSON, OPERATIONS, Operation
from tests.servers.fake_server import DROP, FakeServer, Reply, prediction, reply
from tests.stopwatch import Stopwatch
from tests.variants import variants

RETRIED = [408, 429, 500, 502, 503, 504]
NOT_RETRIED = [301, 400, 401, 402, 403, 404, 405, 409, 413, 422, 501, 505]
CREATES = [
    "deployments.create",
    "deployments.predictions.create",
    "deployments.update",
    "models.create",
    "models.predictions.create",
    "models.update",
    "predictions.create",
    "trainings.create",
]
"""Operations that must not be executed twice."""

pytestmark = pytest.mark.usefixtures("no_jitter")


def good(operation: Operation) -> Reply:
    body = operation.answered(FULL)
    return Reply(operation.status) if body is None else reply(body, operation.status)


TRANSIENT = [*(reply({}, status) for status in RETRIED), DROP]
IDEMPOTENT = [operation for operation in OPERATIONS if operation.name not in CREATES]


@variants("operation", IDEMPOTENT, ids=str)
def test_idempotent_requests_are_retried_on_transient_errors(
    fake_server: FakeServer, operation: Operation
) -> None:
    number = IDEMPOTENT.index(operation)

    def some(errors: list[Any]) -> list[Any]:
        """Return all errors for the first operation, and one in turn for each other."""
        return errors if number == 0 else [errors[number % len(errors)]]

    with Client(base_url=fake_server.base_url) as client:
        for bad in some(TRANSIENT):
            fake_server.requests.clear()
            fake_server.respond_with([bad, bad, good(operation)])
            operation.call(client)
            assert len(fake_server.requests) == 3
            assert len({(r.method, r.path, r.body) for r in fake_server.requests}) == 1
        for status in some(NOT_RETRIED):
            fake_server.requests.clear()
            fake_server.respond_with([reply({}, status), good(operation)])
            with pytest.raises(APIStatusError) as caught:
                operation.call(client)
            assert caught.value.status == status
            assert len(fake_server.requests) == 1


@variants("operation", [o for o in OPERATIONS if o.name in CREATES], ids=str)
def test_creates_and_updates_are_retried_only_if_not_executed(
    fake_server: FakeServer, operation: Operation
) -> None:
    with Client(base_url=fake_server.base_url) as client:
        for bad in [*(reply({}, s) for s in RETRIED + NOT_RETRIED if s != 429), DROP]:
            fake_server.requests.clear()
            fake_server.respond_with([bad, good(operation)])
            with pytest.raises(APIError):
                operation.call(client)
            assert len(fake_server.requests) == 1
        fake_server.requests.clear()
        fake_server.respond_with([reply({}, 429), reply({}, 429), good(operation)])
        operation.call(client)
        assert len(fake_server.requests) == 3


def test_the_table_contains_every_create() -> None:
    assert {o.name for o in OPERATIONS} >= set(CREATES)
    assert "files.create" in NOT_JSON  # retried, as tests/files/test_files.py checks


async def test_all_flavors_retry(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with([reply({}, 503), DROP, reply({}, 429), reply({"username": "a"})])
    assert (await scripted_client.account.get()).username == "a"
    assert len(fake_server.requests) == 4
    fake_server.requests.clear()
    fake_server.respond_with([reply({}, 429), reply({}, 429), reply({}, 503)])
    with pytest.raises(InternalServerError) as caught:
        await scripted_client.predictions.create(version="v", input={})
    assert caught.value.attempts == len(fake_server.requests) == 3
    assert caught.value.may_have_been_created


@variants(("most", "attempts"), [(0, 1), (1, 2), (5, 6)])
async def test_max_retries_limits_the_attempts(
    make_client: Any, fake_server: FakeServer, most: int, attempts: int
) -> None:
    client = make_client(base_url=fake_server.base_url, max_retries=most)
    for response in (reply({}, 503), reply({}, 429, retry_after="0"), DROP):
        fake_server.requests.clear()
        fake_server.respond_with(response)
        with pytest.raises(APIError) as caught:
            await client.account.get()
        assert len(fake_server.requests) == caught.value.attempts == attempts
        assert (f"after {attempts} attempts" in str(caught.value)) is (attempts > 1)


async def test_five_retries_by_default(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(reply({}, 500))
    with pytest.raises(InternalServerError):
        await scripted_client.account.get()
    assert len(fake_server.requests) == 6


class TestDelete:
    @variants("lost", [DROP, reply({}, 503), reply({}, 500)])
    async def test_a_404_to_a_retried_delete_is_a_success(
        self, scripted_client: Any, fake_server: FakeServer, lost: Reply
    ) -> None:
        for call in (
            lambda: scripted_client.files.delete("f1"),
            lambda: scripted_client.models.delete("a", "b"),
            lambda: scripted_client.deployments.delete("a", "b"),
            lambda: scripted_client.models.versions.delete("a", "b", "v"),
        ):
            fake_server.requests.clear()
            fake_server.respond_with([lost, reply({"detail": "not found"}, 404)])
            assert await call() is None
            assert len(fake_server.requests) == 2

    async def test_a_404_to_the_first_delete_is_an_error(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        with pytest.raises(NotFoundError):
            await scripted_client.files.delete("f1")
        assert len(fake_server.requests) == 1

    async def test_a_404_to_a_retried_get_is_an_error(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with([reply({}, 503), reply({}, 404)])
        with pytest.raises(NotFoundError):
            await scripted_client.files.get("f1")


class TestRetryAfter:
    @variants(
        "response",
        [
            reply({}, 429, retry_after="0.1"),
            reply({"retry_after": 0.1}, 429),
            reply({"retry_after": "0.1", "detail": "Request was throttled."}, 429),
            reply({}, 503, retry_after="0.1"),
        ],
        ids=["header", "body", "text", "503"],
    )
    async def test_retry_after_is_honored(
        self, scripted_client: Any, fake_server: FakeServer, response: Reply
    ) -> None:
        fake_server.respond_with([response, reply({"username": "a"})])
        started = Stopwatch()
        await scripted_client.account.get()
        assert started.wall >= 0.09
        assert started.adjusted < 2
        assert len(fake_server.requests) == 2

    def test_retry_after_may_be_a_date(self, fake_server: FakeServer) -> None:
        then = (datetime.now(UTC) + timedelta(seconds=1.5)).replace(microsecond=0)
        fake_server.respond_with(
            [reply({}, 429, retry_after=format_datetime(then, usegmt=True)), reply([])]
        )
        with Client(base_url=fake_server.base_url) as client:
            client.hardware.list()
        assert datetime.now(UTC) >= then
        assert len(fake_server.requests) == 2

    async def test_the_header_overrides_the_body(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(
            [reply({"retry_after": 50}, 429, retry_after="0"), reply({"username": "a"})]
        )
        started = Stopwatch()
        await scripted_client.account.get()
        assert started.adjusted < 2

    @variants(
        ("response", "wait"),
        [
            (reply({}, 429, retry_after="61"), 61.0),
            (reply({"retry_after": 3600}, 429), 3600.0),
            (reply({}, 503, retry_after="86400"), 86400.0),
        ],
    )
    async def test_a_retry_after_beyond_a_minute_raises_at_once(
        self, scripted_client: Any, fake_server: FakeServer, response: Reply, wait: float
    ) -> None:
        fake_server.respond_with(response)
        started = Stopwatch()
        with pytest.raises(APIStatusError, match=f"wait {wait:g} s") as caught:
            await scripted_client.account.get()
        assert started.adjusted < 2
        assert caught.value.retry_after == wait
        assert caught.value.attempts == len(fake_server.requests) == 1

    async def test_a_retry_after_beyond_the_deadline_raises_at_once(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({}, 429, retry_after="5"))
        client = make_client(base_url=fake_server.base_url, timeout=2)
        started = Stopwatch()
        with pytest.raises(RateLimitError, match="wait 5 s") as caught:
            await client.account.get()
        assert started.adjusted < 1
        assert caught.value.retry_after == 5.0
        fake_server.requests.clear()
        with pytest.raises(RateLimitError):
            await client.with_options(timeout=60).request("POST", "/x", timeout=1)
        assert len(fake_server.requests) == 1

    @variants("word", ["soon", "-5", "", "٥"])
    async def test_an_invalid_retry_after_leaves_the_back_off_unchanged(
        self, scripted_client: Any, fake_server: FakeServer, word: str
    ) -> None:
        headers = {"retry-after": word} if word.isascii() else {}
        body = b"{}" if word.isascii() else b'{"retry_after": "\xd9\xa5"}'
        fake_server.respond_with([Reply(429, headers, body), reply({"username": "a"})])
        await scripted_client.account.get()
        assert len(fake_server.requests) == 2


async def test_the_timeout_covers_all_attempts(make_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(attrs.evolve(reply({}, 503), delay=0.2))
    client = make_client(base_url=fake_server.base_url, timeout=0.5, max_retries=100)
    started = Stopwatch()
    with pytest.raises((APITimeoutError, InternalServerError)) as caught:
        await client.account.get()
    assert started.wall > 0.3
    assert started.adjusted < 1.0
    assert 2 <= caught.value.attempts <= 3


async def test_the_first_back_off_is_half_a_second_with_jitter(
    scripted_client: Any, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.8)
    fake_server.respond_with([reply({}, 503), reply({"username": "a"})])
    started = Stopwatch()
    await scripted_client.account.get()
    assert started.wall > 0.39
    assert started.adjusted < 0.9


async def test_the_retry_quota_limits_retries_to_a_dead_server(
    make_client: Any, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._api.retry.RetryQuota.CAPACITY", 100)
    client = make_client(base_url=fake_server.base_url, max_retries=20)
    view = client.with_options(headers={"X": "1"})
    fake_server.respond_with(reply({}, 503))
    for _ in range(4):
        for item in (client, view):
            with pytest.raises(InternalServerError):
                await item.account.get()
    # Eight requests would be 168 attempts. The shared quota pays for twenty retries of one request,
    # and the first retry of four more.
    assert len(fake_server.requests) == 8 + 20 + 4
    # After the recovery, successes refill the quota.
    fake_server.respond_with(reply({"username": "a"}))
    for _ in range(5):
        await client.account.get()
    fake_server.respond_with([reply({}, 503), reply({"username": "a"})])
    await view.account.get()


async def test_cancels_are_retried(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with([DROP, reply({}, 500), reply(prediction("canceled"))])
    assert (await scripted_client.predictions.cancel("p1")).status == "canceled"
    assert fake_server.request_lines == ["POST /v1/predictions/p1/cancel"] * 3


async def test_request_is_retried_depending_on_its_method(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE", "QUERY", "OPTIONS"):
        fake_server.requests.clear()
        fake_server.respond_with([reply({}, 503), reply({})])
        await scripted_client.request(method, "/x")
        assert len(fake_server.requests) == 2
    for method in ("POST", "PATCH"):
        fake_server.requests.clear()
        fake_server.respond_with([reply({}, 503), reply({})])
        with pytest.raises(InternalServerError):
            await scripted_client.request(method, "/x")
        assert len(fake_server.requests) == 1
    fake_server.respond_with([DROP, reply({})])
    with pytest.raises(APIConnectionError):
        await scripted_client.request("POST", "/x")


async def test_a_blocking_create_extends_the_read_timeout(
    make_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(attrs.evolve(reply(prediction("succeeded"), 201), delay=0.4))
    read_timeouts: list[float] = []
    client = make_client(
        base_url=fake_server.base_url,
        timeout=0.2,
        event_hooks={"request": [lambda request: read_timeouts.append(request.read_timeout)]},
    )
    created = await client.predictions.create(version="v", input={}, wait=5)
    assert created.status == "succeeded"
    with pytest.raises(APITimeoutError):
        await client.predictions.create(version="v", input={})
    # The connection is silent for the whole wait, but is not considered lost.
    await client.with_options(timeout=None).predictions.create(version="v", input={}, wait=60)
    assert read_timeouts[-1] > 60
