"""Connections that cost the same at one and at five hundred, on httpcore.

`pool` keeps them, `routes` says through which proxy and with which certificates they are
opened, `network` is the sockets beneath them.
"""

from dashscope._transport.pool.pool import Answer, AsyncPool, BlockingPool
from dashscope._transport.pool.routes import TLS

__all__ = ["TLS", "Answer", "AsyncPool", "BlockingPool"]
