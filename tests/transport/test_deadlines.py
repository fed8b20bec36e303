"""`timeout=` limits every call, whatever the server does, in each flavor."""

from __future__ import annotations

import itertools
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from dashscope import APITimeoutError, PredictionTimeoutError
from tests.servers import slow_server as slow
from tests.servers.fake_server import FakeServer, Reply, prediction, reply
from tests.servers.slow_server import SlowServer
from tests.stopwatch import Stopwatch
from tests.transport.conftest import Gather

TIMEOUT = 0.6
INSECURE = ssl.create_default_context()
INSECURE.check_hostname = False
INSECURE.verify_mode = ssl.CERT_NONE

Call = Callable[[Any], Awaitable[Any]]


@pytest.fixture
def connect(make_client: Callable[..., Any]) -> Callable[..., Any]:
    return lambda base_url, **options: make_client(
        "token", base_url=base_url, verify=INSECURE, timeout=None, max_retries=1, **options
    )


@contextmanager
def talking(talk: slow.Talk, scheme: str = "http") -> Iterator[SlowServer]:
    server = SlowServer(talk, scheme)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def in_time(timeout: float = TIMEOUT) -> Iterator[None]:
    """A call may exceed its timeout by at most half a second or a tenth."""
    started = Stopwatch()
    yield
    assert started.adjusted < timeout + max(0.5, timeout / 10)


async def request(client: Any) -> Any:
    return await client.request("GET", "/account", timeout=TIMEOUT)


async def with_options(client: Any) -> Any:
    return await client.with_options(timeout=TIMEOUT).account.get()


async def run(client: Any) -> Any:
    return await client.run("owner/name", {}, timeout=TIMEOUT)


async def run_by_polling(client: Any) -> Any:
    return await client.run("owner/name", {}, timeout=TIMEOUT, poll_interval=0.01)


async def stream(client: Any) -> Any:
    async with client.stream("owner/name", {}, timeout=TIMEOUT) as stream:
        await anext(stream)


async def wait(client: Any) -> Any:
    return await client.wait("p1", timeout=TIMEOUT)


async def wait_and_cancel(client: Any) -> Any:
    created = await client.models.predictions.create("owner", "name", input={})
    return await client.wait(created, timeout=TIMEOUT, cancel_on_exit=True)


async def upload(client: Any) -> Any:
    return await client.request("POST", "/files", content=b"x" * 30_000_000, timeout=TIMEOUT)


async def upload_in_parts(client: Any) -> Any:
    files = {"content": b"x" * 30_000_000}
    return await client.request("POST", "/files", files=files, timeout=TIMEOUT)


def some(basic: list[Call], others: list[Call]) -> Any:
    """Parametrize a test with the basic calls, and in the soak session with the others."""
    return pytest.mark.parametrize(
        "calls",
        [
            pytest.param(calls, id=" ".join(call.__name__ for call in calls), marks=marks)
            for calls, marks in ((basic, ()), (others, pytest.mark.soak))
            if calls
        ],
    )


async def at_once(
    gather: Gather, attempt: Callable[..., Coroutine[Any, Any, None]], *arguments: Sequence[Any]
) -> None:
    """Run attempts with each combination of arguments at the same time, to wait only once."""

    async def named(chosen: tuple[Any, ...]) -> None:
        try:
            await attempt(*chosen)
        except BaseException as error:
            error.add_note(" ".join(getattr(item, "__name__", item) for item in chosen))
            raise

    await gather([partial(named, chosen) for chosen in itertools.product(*arguments)])


TALKS = {
    "a response that never arrives": (slow.silent, "http"),
    "a slow head": (slow.slow_head, "http"),
    "a slow body": (slow.slow_body, "http"),
    "no handshake": (slow.silent, "https"),
    "a slow handshake": (slow.slow_handshake, "https"),
}


@some([request, run], [with_options, stream, wait])
async def test_a_timeout_before_the_create(
    connect: Callable[..., Any], gather: Gather, calls: list[Call]
) -> None:
    async def attempt(talk: str, call: Call) -> None:
        with talking(*TALKS[talk]) as server:
            client = connect(server.base_url)
            with in_time(), pytest.raises(APITimeoutError) as caught:
                await call(client)
            await client.aclose()
        # On a busy machine, the time may be up before there is a connection.
        assert caught.value.request_sent or not server.request_lines
        # A create whose response was lost may have been executed.
        created = call in (run, stream) and TALKS[talk][1] == "http" and caught.value.request_sent
        assert caught.value.may_have_been_created == created

    await at_once(gather, attempt, list(TALKS), calls)


async def check_never_connected(
    connect: Callable[..., Any], gather: Gather, calls: list[Call]
) -> None:
    async def attempt(call: Call) -> None:
        with slow.never_accepting() as address:
            client = connect(address)
            with in_time(), pytest.raises(APITimeoutError) as caught:
                await call(client)
            assert not caught.value.request_sent
            assert not caught.value.may_have_been_created
            await client.aclose()

    await at_once(gather, attempt, calls)


@some([request, run], [])
async def test_a_connection_that_never_succeeds(
    connect: Callable[..., Any], gather: Gather, calls: list[Call]
) -> None:
    await check_never_connected(connect, gather, calls)


@some([request, run], [])
async def test_a_connection_that_is_slower_than_the_scope_of_the_call(
    connect: Callable[..., Any], gather: Gather, calls: list[Call], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine, the call may be canceled before its connection times out."""
    monkeypatch.setattr("dashscope._runtime.async_runtime.LAST", -TIMEOUT / 2)
    await check_never_connected(connect, gather, calls)


@some([upload_in_parts], [upload])
async def test_an_upload_that_is_never_read(
    connect: Callable[..., Any], gather: Gather, calls: list[Call]
) -> None:
    async def attempt(talk: slow.Talk, call: Call) -> None:
        with talking(talk) as server:
            client = connect(server.base_url)
            with in_time(), pytest.raises(APITimeoutError):
                await call(client)
            await client.aclose()

    await at_once(gather, attempt, [slow.never_reads, slow.reads_slowly], calls)


@some([run, stream], [run_by_polling, wait_and_cancel])
@pytest.mark.parametrize("then", [pytest.param("head", marks=pytest.mark.soak), "body"])
async def test_after_the_create_the_error_has_the_prediction(
    connect: Callable[..., Any], gather: Gather, calls: list[Call], then: str
) -> None:
    """The cancel is also slow, and the client does not wait for it."""

    async def attempt(call: Call) -> None:
        with talking(slow.create_then_slow(then)) as server:
            client = connect(server.base_url)
            with in_time(), pytest.raises(PredictionTimeoutError) as caught:
                await call(client)
            await client.aclose()
        assert caught.value.prediction.id == "p1"
        assert server.request_lines[-1] == "POST /v1/predictions/p1/cancel"
        assert "p1 may still be running" in caught.value.__notes__[0]

    await at_once(gather, attempt, calls)


@some([run, stream], [])
async def test_the_timeout_is_sent_to_the_server(
    make_client: Callable[..., Any], fake_server: FakeServer, calls: list[Call]
) -> None:
    fake_server.respond_with(reply(prediction("succeeded", output="a"), 201))
    client = make_client(base_url=fake_server.base_url)
    for call in calls:
        fake_server.requests.clear()
        await call(client)
        seconds = fake_server.requests[0].headers["Cancel-After"].removesuffix("s")
        assert TIMEOUT + 4 < float(seconds) <= TIMEOUT + 6
    await client.aclose()


async def test_a_timeout_of_a_blocking_create(
    make_client: Callable[..., Any], fake_server: FakeServer
) -> None:
    """The id is unknown, so only the server can cancel the prediction."""
    fake_server.respond_with(Reply(delay=3))
    client = make_client(base_url=fake_server.base_url)
    with in_time(), pytest.raises(APITimeoutError) as caught:
        await client.run("owner/name", {}, wait=5, timeout=TIMEOUT)
    await client.aclose()
    assert caught.value.may_have_been_created
    assert fake_server.requests[0].headers["Prefer"] == "wait=5"
    assert "Cancel-After" in fake_server.requests[0].headers
