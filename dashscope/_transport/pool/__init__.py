"""A connection pool on httpcore whose cost per request does not grow with concurrency.

`pool` keeps connections, `routes` chooses the proxy and the certificates, and `network` has the
sockets beneath them.
"""

from dashscope._transport.pool.options import PoolOptions
from dashscope._transport.pool.pool import CLOSED, AsyncPool, SyncPool
from dashscope._transport.pool.routes import TLS

__all__ = ["CLOSED", "TLS", "AsyncPool", "PoolOptions", "SyncPool"]
