"""A local server with the models that are run through web frameworks."""

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
def behind(server: LocalServer) -> Iterator[Client]:
    """A client that looks at the API behind the applications' backs."""
    with Client(base_url=server.base_url) as client:
        yield client
