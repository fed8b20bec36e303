"""A server of the Dashscope HTTP API on this machine, whose models are Python functions.

``model`` makes a function a model, ``LocalServer`` runs a server for the length of a ``with``
block, and ``serve`` runs one in the foreground until a signal ends it.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from dashscope.local.decorator import Weights, model

if TYPE_CHECKING:
    from dashscope.local.foreground import serve
    from dashscope.local.http.middleware import AnsweredRequest
    from dashscope.local.server import LocalServer

__all__ = ["AnsweredRequest", "LocalServer", "Weights", "model", "serve"]


_MODULES: Final = {
    "AnsweredRequest": "dashscope.local.http.middleware",
    "LocalServer": "dashscope.local.server",
    "serve": "dashscope.local.foreground",
}


def __getattr__(name: str) -> Any:
    # Workers import this package for `model` alone, and start faster without the web server.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
