"""Retries that come at once, and certificates that were made for these tests."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
import trustme

from tests.fake_server import FakeServer
from tests.faults.proxy import Proxy

# A connection that is reset before its handshake: the ssl module leaves its socket to the garbage
# collector, which closes it at once, and says so.
LEFT_BY_SSL = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(
    params=[
        "asyncio",
        "sync",
        pytest.param("trio", marks=pytest.mark.soak),
        pytest.param("uvloop", marks=pytest.mark.soak),
    ]
)
def flavor(request: pytest.FixtureRequest) -> str:
    """Each way to wait; trio and uvloop, which differ below httpcore only, in the long run."""
    name: str = request.param
    return name


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once: the back-off has full jitter, and chance is on our side."""
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """What a server at 127.0.0.1 shows."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def trust(authority: trustme.CA) -> ssl.SSLContext:
    """What a client that knows the authority verifies with."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="package")
def server() -> Iterator[FakeServer]:
    """The server behind the proxy."""
    server = FakeServer()
    yield server
    server.close()


@pytest.fixture(scope="package")
def proxy(server: FakeServer) -> Iterator[Proxy]:
    proxy = Proxy(server.base_url)
    yield proxy
    proxy.close()
