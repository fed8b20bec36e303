"""A model whose stream is scripted, and clients of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers.stream_server import StreamServer


@pytest.fixture
def server() -> Iterator[StreamServer]:
    """A model that streams what a test scripts."""
    server = StreamServer()
    yield server
    server.close()


@pytest.fixture
def connect(make_client: Callable[..., Any], server: StreamServer) -> Callable[..., Any]:
    """Makes clients of that model's server, in each flavor."""

    def connect(*args: Any, base_url: str = server.base_url, **options: Any) -> Any:
        return make_client(*args, base_url=base_url, **options)

    return connect


@pytest.fixture
def client(connect: Callable[..., Any]) -> Any:
    """A client of that model's server, in each flavor."""
    return connect()
