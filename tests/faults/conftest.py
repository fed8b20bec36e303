"""Fixtures for the fault tests: a proxy, its server, and certificates."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests import flavors
from tests.servers.certificates import authority, server_context, trusting_tls
from tests.servers.fake_server import FakeServer
from tests.servers.fault_proxy import Proxy

if TYPE_CHECKING:
    import trustme

__all__ = ["authority", "trusting_tls"]

# If a connection is reset before its handshake, the ssl module does not close the socket. The
# garbage collector closes it and warns.
UNCLOSED_SSL_SOCKET = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture(params=flavors.params("asyncio", "sync"))
def flavor(request: pytest.FixtureRequest) -> str:
    """Asyncio and sync by default. Below httpcore, all async flavors behave the same."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS context of a server at 127.0.0.1."""
    return server_context(authority, "127.0.0.1")


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
