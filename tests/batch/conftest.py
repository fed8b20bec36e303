"""A fake service, and clients of it in all flavors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.batch.service import Service
from tests.fake_server import FakeServer
from tests.operations.conftest import fake_server, make_client, shared_fake_server

__all__ = ["fake_server", "make_client", "shared_fake_server"]


@pytest.fixture(
    params=[
        "asyncio",
        pytest.param("uvloop", marks=pytest.mark.soak),
        pytest.param("trio", marks=pytest.mark.soak),
        "sync",
    ]
)
def flavor(request: pytest.FixtureRequest) -> str:
    """Tasks of one library and threads in the default run, all flavors in the soak run."""
    name: str = request.param
    return name


@pytest.fixture
def service(fake_server: FakeServer) -> Service:
    """A fake service."""
    return Service(fake_server)


@pytest.fixture
def client(make_client: Callable[..., Any], service: Service) -> Any:
    """A client of the service in the test's flavor."""
    return make_client(base_url=service.fake_server.base_url)
