"""The address at which a client reaches the server. The URLs in a response start with it."""

import re
from typing import Final

from starlette.datastructures import Headers

_HOST: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_UNSPECIFIED: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104


def address_of(headers: Headers) -> str | None:
    """Return the address of a request by its ``Host`` header, or None without the header.

    Raises:
        ValueError: The header is not ``name`` or ``name:port``.
    """
    host = headers.get("host")
    if not host:
        return None
    if not (match := _HOST.fullmatch(host)):
        raise ValueError(f"The Host header must be name or name:port, not {host[:100]!r}.")
    return f"http://{reachable(match['name'])}{match[2] or ''}"


def reachable(host: str) -> str:
    """Return a host that clients can connect to: a loopback address for "all addresses"."""
    return _UNSPECIFIED.get(host, host)
