"""`PoolOptions`: how a pool connects."""

from __future__ import annotations

from attrs import frozen


@frozen(kw_only=True)
class PoolOptions:
    """How a pool connects.

    Attributes:
        max_connections: The number of connections that may be open at once.
        http2: Whether to use HTTP/2 where the server supports it.
        proxy: The URL of a proxy. Defaults to the proxies of the environment.
    """

    max_connections: int
    http2: bool
    proxy: str | None
