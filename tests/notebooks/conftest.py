"""The ways to wait that notebooks know."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=pytest.mark.soak), "trio", "sync"])
def flavor(request: pytest.FixtureRequest) -> str:
    """Each way to wait; uvloop, which differs from asyncio in the loop only, in the long run."""
    name: str = request.param
    return name
