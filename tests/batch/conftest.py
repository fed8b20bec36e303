"""A service that a test scripts, and clients of it in all colours."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.batch.service import Service
from tests.wire import Wire

TLS = ssl.create_default_context()
"""Made once: it takes longer than most of the tests, and none of them needs it."""


@pytest.fixture
def make_client(make_client: Callable[..., Any]) -> Callable[..., Any]:
    """Makes clients of the test's colour."""
    return lambda *args, **options: make_client(*args, **{"verify": TLS, **options})


@pytest.fixture(scope="package")
def _server() -> Iterator[Wire]:
    server = Wire()
    yield server
    server.close()


@pytest.fixture
def wire(_server: Wire) -> Wire:
    """A server that is everybody's, and as new."""
    _server.requests = []
    return _server


@pytest.fixture(
    params=[
        "asyncio",
        pytest.param("uvloop", marks=pytest.mark.soak),
        pytest.param("trio", marks=pytest.mark.soak),
        "blocking",
    ]
)
def colour(request: pytest.FixtureRequest) -> str:
    """Each way to wait; in the short run, tasks of one library and threads."""
    name: str = request.param
    return name


@pytest.fixture
def service(wire: Wire) -> Service:
    """A service whose predictions a test scripts."""
    return Service(wire)


@pytest.fixture
def client(make_client: Callable[..., Any], service: Service) -> Any:
    """A client of it in the test's colour."""
    return make_client(base_url=service.wire.base_url)
