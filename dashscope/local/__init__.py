"""A local server for the Dashscope HTTP API. Its models are Python functions.

``@model`` turns a function into a model. ``LocalServer`` runs a server inside a ``with`` block.
``serve`` runs a server in the foreground until it receives a signal.
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
    # Workers import this package only for `model`. They start faster without the web server.
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
