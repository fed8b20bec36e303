"""The server and the clients of the end-to-end tests."""

from __future__ import annotations

from tests.end_to_end.conftest import client, flavor, server

__all__ = ["client", "flavor", "server"]
