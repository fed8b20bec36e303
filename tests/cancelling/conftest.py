"""The server that keeps the ledger, anew for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cancelling.server import Ledger


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    """A server that knows which predictions run."""
    ledger = Ledger()
    yield ledger
    ledger.close()
