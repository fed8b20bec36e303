"""A fake service, and clients of it in all flavors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests import flavors
from tests.servers.batch_service import Service
from tests.servers.fake_server import FakeServer

flavor = flavors.fixture("asyncio", "sync")


@pytest.fixture
def service(fake_server: FakeServer) -> Service:
    """A fake service."""
    return Service(fake_server)


@pytest.fixture
def client(make_client: Callable[..., Any], service: Service) -> Any:
    """A client of the service in the test's flavor."""
    return make_client(base_url=service.fake_server.base_url)
