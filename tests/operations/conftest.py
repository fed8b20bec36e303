"""One server for all tests here, and one set of certificates: each gets them as new, at once."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.fake_server import FakeServer, reply

CERTIFICATES = ssl.create_default_context()


@pytest.fixture
def make_client(make_client: Callable[..., Any]) -> Callable[..., Any]:
    """Makes clients of the test's flavor."""
    return lambda *args, **options: make_client(*args, **{"verify": CERTIFICATES, **options})


@pytest.fixture(scope="package")
def shared_fake_server() -> Iterator[FakeServer]:
    """A server that is everybody's."""
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture
def fake_server(shared_fake_server: FakeServer) -> FakeServer:
    """The server as new: it says what the test scripts."""
    shared_fake_server.requests = []
    shared_fake_server.respond_with(lambda _: reply({"detail": "nothing scripted"}, 404))
    return shared_fake_server


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once: the back-off has full jitter, and chance is on our side."""
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)


@pytest.fixture
def other_fake_server() -> Iterator[FakeServer]:
    """A server of another origin."""
    other = FakeServer()
    yield other
    other.close()


@pytest.fixture
def with_token(make_client: Callable[..., Any], fake_server: FakeServer) -> Any:
    """A client that has a token for the server."""
    return make_client("r8_token", base_url=fake_server.base_url)
