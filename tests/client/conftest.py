"""A real local server with the tests' models, and clients of it in all flavors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashscope import Client
from dashscope.local import LocalServer
from tests.client import models


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """The server that all of these tests talk to."""
    with LocalServer(models=models.__file__, strict_inputs=True) as server:
        yield server


@pytest.fixture(scope="session")
def behind(server: LocalServer) -> Iterator[Client]:
    """A client that looks at the server behind the back of the one under test."""
    with Client(base_url=server.base_url) as client:
        yield client


@pytest.fixture
def client(make_client: Callable[..., Any], server: LocalServer) -> Any:
    """A client of the server in the test's flavor."""
    return make_client(base_url=server.base_url)
