"""The local server and the clients of `tests/client`."""

from __future__ import annotations

from tests.client.conftest import client, server

__all__ = ["client", "server"]
