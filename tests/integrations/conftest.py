"""A local server with the models of the web applications."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dashscope import Client
from dashscope.local import LocalServer
from tests.integrations import models


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """The API behind the applications."""
    with LocalServer(models=models.__file__) as server:
        yield server


@pytest.fixture(scope="session")
def observer(server: LocalServer) -> Iterator[Client]:
    """A client for checking what the applications did."""
    with Client(base_url=server.base_url) as client:
        yield client
