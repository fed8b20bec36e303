"""A server of the Dashscope HTTP API on this machine, whose models are Python functions.

``model`` makes a function a model, ``LocalServer`` runs a server for the length of a ``with``
block, and ``serve`` runs one in the foreground until a signal ends it.
"""

from typing import TYPE_CHECKING, Any

from dashscope.local.decorator import Weights, model

if TYPE_CHECKING:
    from dashscope.local.gate import AnsweredRequest
    from dashscope.local.server import LocalServer, serve

__all__ = ["AnsweredRequest", "LocalServer", "Weights", "model", "serve"]


def __getattr__(name: str) -> Any:
    # Workers import this package for `model` alone, and start faster without the web server.
    if name in {"AnsweredRequest", "LocalServer", "serve"}:
        from dashscope.local import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
