"""Retries that come at once, and certificates that were made for these tests."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
import trustme

from tests import flavors
from tests.servers.fake_server import FakeServer
from tests.servers.fault_proxy import Proxy

# A connection that is reset before its handshake: the ssl module leaves its socket to the garbage
# collector, which closes it at once, and says so.
LEFT_BY_SSL = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(params=flavors.params("asyncio", "sync"))
def flavor(request: pytest.FixtureRequest) -> str:
    """Below httpcore, all async flavors are alike: trio and uvloop run in the soak session."""
    name: str = request.param
    return name


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
