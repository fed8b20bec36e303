"""A server whose stream is scripted, and clients of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests import flavors
from tests.servers.stream_server import StreamServer

flavor = flavors.fixture("asyncio", "sync")


@pytest.fixture
def server() -> Iterator[StreamServer]:
    """A server of one prediction whose stream the test scripts."""
    server = StreamServer()
    yield server
    server.close()


@pytest.fixture
def connect(make_client: Callable[..., Any], server: StreamServer) -> Callable[..., Any]:
    """Create clients of the server in the test's flavor."""

    def connect(*args: Any, base_url: str = server.base_url, **options: Any) -> Any:
        return make_client(*args, base_url=base_url, **options)

    return connect


@pytest.fixture
def client(connect: Callable[..., Any]) -> Any:
    """A client of the server in the test's flavor."""
    return connect()
