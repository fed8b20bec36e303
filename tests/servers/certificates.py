"""TLS certificates for servers of the tests, and a client context that trusts them."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import trustme


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority."""
    import trustme

    return trustme.CA()


@pytest.fixture(scope="session")
def trusting_tls(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS context of a client that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def server_context(authority: trustme.CA, *hosts: str) -> ssl.SSLContext:
    """Return the TLS context of a server for these hosts."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*hosts).configure_cert(context)
    return context
