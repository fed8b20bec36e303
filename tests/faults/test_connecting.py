"""Every operation without a connection: the server cannot have executed the request.

Creates are therefore retried as well, and no error says that something may have been created.
"""

from __future__ import annotations

import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dashscope import APIConnectionError, APITimeoutError
from tests import flavors
from tests.faults.conftest import UNCLOSED_SSL_SOCKET
from tests.faults.test_table import SAMPLE, SUBJECTS, Subject, run_at_once
from tests.servers.certificates import server_context
from tests.servers.fake_server import FakeServer, Received, Reply
from tests.servers.fault_proxy import Line, Proxy
from tests.servers.faults import RESET_AT_ONCE

pytestmark = [pytest.mark.usefixtures("no_jitter"), UNCLOSED_SSL_SOCKET]

NAME = "api.example.test"


@pytest.fixture(params=["asyncio", "sync", pytest.param("trio", marks=pytest.mark.soak)])
def flavor(request: pytest.FixtureRequest) -> str:
    """All flavors except uvloop, which has its own resolver."""
    name: str = request.param
    return name


@pytest.fixture(params=["sample", pytest.param("all", marks=pytest.mark.soak)])
def subjects(request: pytest.FixtureRequest) -> list[Subject]:
    """One operation of each kind by default, and all of them in the soak session."""
    return SAMPLE if request.param == "sample" else SUBJECTS


@pytest.fixture
def answering(server: FakeServer) -> FakeServer:
    """A server that responds to each operation. The first segment of a path names the operation."""
    responses = {subject.name: subject.answer for subject in SUBJECTS}

    def script(received: Received) -> Reply:
        return responses[received.path.split("/", 2)[1]]

    server.respond_with(script)
    server.requests.clear()
    return server


class Attempts:
    """Counts the attempts of a request, and calls a function before the second one."""

    def __init__(self, before_second: Callable[[], None] = lambda: None) -> None:
        self.number = 0
        self._before_second = before_second

    def __call__(self, _: Any) -> None:
        self.number += 1
        if self.number == 2:
            self._before_second()


def call_and_count(
    flavor: str, subject: Subject, origin: str, attempts: Attempts, *args: Any, **options: Any
) -> Callable[[], Awaitable[BaseException | None]]:
    """Call an operation and return its error."""

    async def body() -> BaseException | None:
        client = flavors.make_client(
            flavor,
            *args,
            base_url=f"{origin}/{subject.name}/v1",
            event_hooks={"request": [attempts]},
            **options,
        )
        try:
            await subject.call(client)
        except Exception as error:
            return error
        finally:
            await client.aclose()
        return None

    return body


def executed_once(server: FakeServer, subjects: list[Subject]) -> bool:
    return sorted(r.path.split("/", 2)[1] for r in server.requests) == sorted(
        subject.name for subject in subjects
    )


def test_a_refused_connection_is_retried(
    flavor: str, subjects: list[Subject], proxy: Proxy, answering: FakeServer
) -> None:
    lines = [proxy.line() for _ in subjects]
    counts = [Attempts(line.listen) for line in lines]
    calls = [
        call_and_count(flavor, subject, line.origin, attempts)
        for subject, line, attempts in zip(subjects, lines, counts, strict=True)
    ]
    assert not list(filter(None, run_at_once(flavor, calls)))
    assert {attempts.number for attempts in counts} == {2}
    assert executed_once(answering, subjects)


def test_a_connection_reset_before_the_request_is_retried(
    flavor: str,
    subjects: list[Subject],
    proxy: Proxy,
    answering: FakeServer,
    tls: ssl.SSLContext,
    trusting_tls: ssl.SSLContext,
) -> None:
    lines = [proxy.line(tls=tls) for _ in subjects]
    counts = [Attempts() for _ in lines]
    for line in lines:
        line.inject([RESET_AT_ONCE])
        line.listen()
    calls = [
        call_and_count(flavor, subject, line.origin, attempts, "r8_token", verify=trusting_tls)
        for subject, line, attempts in zip(subjects, lines, counts, strict=True)
    ]
    assert not list(filter(None, run_at_once(flavor, calls)))
    assert {attempts.number for attempts in counts} == {2}
    assert executed_once(answering, subjects)


def check_never_sent(
    results: list[Any], counts: list[Attempts], attempts: int, message: str, server: FakeServer
) -> None:
    for result, counted in zip(results, counts, strict=True):
        assert isinstance(result, APIConnectionError)
        assert not isinstance(result, APITimeoutError)
        assert not result.request_sent
        assert not result.may_have_been_created
        assert result.attempts == counted.number == attempts
        assert message in str(result)
    assert server.requests == []


def test_an_unreachable_server_is_a_connection_error(
    flavor: str, subjects: list[Subject], proxy: Proxy, answering: FakeServer
) -> None:
    line = proxy.line()
    counts = [Attempts() for _ in subjects]
    calls = [
        call_and_count(flavor, subject, line.origin, attempts, max_retries=2)
        for subject, attempts in zip(subjects, counts, strict=True)
    ]
    # No server has ever responded at this loopback address, so the client retries only once.
    check_never_sent(run_at_once(flavor, calls), counts, 2, "No connection", answering)


def test_an_invalid_certificate_raises_at_once(
    flavor: str,
    subjects: list[Subject],
    proxy: Proxy,
    answering: FakeServer,
    tls: ssl.SSLContext,
) -> None:
    line = proxy.line(tls=tls)
    line.listen()
    stranger = ssl.create_default_context()
    counts = [Attempts() for _ in subjects]
    calls = [
        call_and_count(flavor, subject, line.origin, attempts, "r8_token", verify=stranger)
        for subject, attempts in zip(subjects, counts, strict=True)
    ]
    # A retry would fail the same way.
    results = run_at_once(flavor, calls)
    check_never_sent(results, counts, 1, "certificate", answering)
    assert "verify=" in str(results[0])


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Resolve names below NAME to this machine, but fail the first time, or always."""
    failures: Counter[str] = Counter()
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if not name.endswith(NAME):
            return real(host, *args, **options)
        failures[name] += 1
        if failures[name] == 1 or name.startswith("never"):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return failures


@pytest.fixture
def named(proxy: Proxy, authority: Any) -> Line:
    """A line with a certificate for names below NAME."""
    line = proxy.line(tls=server_context(authority, f"*.{NAME}"))
    line.listen()
    return line


def test_a_temporary_resolution_failure_is_retried(
    flavor: str,
    subjects: list[Subject],
    named: Line,
    answering: FakeServer,
    trusting_tls: ssl.SSLContext,
    resolver: Counter[str],
) -> None:
    counts = [Attempts() for _ in subjects]
    calls = [
        call_and_count(
            flavor,
            subject,
            named.origin.replace("127.0.0.1", f"server{number}.{NAME}"),
            counts[number],
            "r8_token",
            verify=trusting_tls,
        )
        for number, subject in enumerate(subjects)
    ]
    assert not list(filter(None, run_at_once(flavor, calls)))
    assert {attempts.number for attempts in counts} == {2}
    assert executed_once(answering, subjects)


def test_an_unresolvable_name_is_a_connection_error(
    flavor: str,
    subjects: list[Subject],
    named: Line,
    answering: FakeServer,
    trusting_tls: ssl.SSLContext,
    resolver: Counter[str],
) -> None:
    counts = [Attempts() for _ in subjects]
    origin = named.origin.replace("127.0.0.1", f"never.{NAME}")
    calls = [
        call_and_count(
            flavor, subject, origin, attempts, "r8_token", verify=trusting_tls, max_retries=2
        )
        for subject, attempts in zip(subjects, counts, strict=True)
    ]
    results = run_at_once(flavor, calls)
    check_never_sent(results, counts, 3, "name resolution", answering)
    assert resolver[f"never.{NAME}"] == 3 * len(subjects)
