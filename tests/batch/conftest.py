"""A service that a test scripts, and clients of it in all colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.batch.service import Service
from tests.operations.conftest import make_client, shared_wire, wire
from tests.wire import Wire

__all__ = ["make_client", "shared_wire", "wire"]


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
