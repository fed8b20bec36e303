"""A local server with the models of the tests, and clients of it in all flavors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dashscope import Client
from dashscope.local import LocalServer
from tests import flavors
from tests.client import models

flavor = flavors.fixture("asyncio", "sync")


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """The server of all tests in this folder."""
    with LocalServer(models=models.__file__, strict_inputs=True) as server:
        yield server


@pytest.fixture(scope="session")
def observer(server: LocalServer) -> Iterator[Client]:
    """A second client, for checking what the client under test did."""
    with Client(base_url=server.base_url) as client:
        yield client


@pytest.fixture
def client(make_client: Callable[..., Any], server: LocalServer) -> Any:
    """A client of the server in the test's flavor."""
    return make_client(base_url=server.base_url)
