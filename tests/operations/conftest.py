"""One server for all tests here, and one set of certificates: each gets them as new, at once."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.wire import Wire, reply

CERTIFICATES = ssl.create_default_context()


@pytest.fixture
def make_client(make_client: Callable[..., Any]) -> Callable[..., Any]:
    """Makes clients of the test's colour."""
    return lambda *args, **options: make_client(*args, **{"verify": CERTIFICATES, **options})


@pytest.fixture(scope="package")
def shared_wire() -> Iterator[Wire]:
    """A server that is everybody's."""
    server = Wire()
    yield server
    server.close()


@pytest.fixture
def wire(shared_wire: Wire) -> Wire:
    """The server as new: it says what the test scripts."""
    shared_wire.requests = []
    shared_wire.says(lambda _: reply({"detail": "nothing scripted"}, 404))
    return shared_wire


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once: the back-off has full jitter, and chance is on our side."""
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)


@pytest.fixture
def other_wire() -> Iterator[Wire]:
    """A server of another origin."""
    other = Wire()
    yield other
    other.close()


@pytest.fixture
def with_token(make_client: Callable[..., Any], wire: Wire) -> Any:
    """A client that has a token for the server."""
    return make_client("r8_token", base_url=wire.base_url)
