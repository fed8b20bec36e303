"""The private modules of version 0.1.0, whose names occur in the pickles of its values."""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Final

_MOVED: Final = {
    "dashscope._batch.rows": "dashscope.types.batch",
    "dashscope._event_values": "dashscope.types.event",
    "dashscope._http": "dashscope.types.http",
    "dashscope._pages": "dashscope.types.page",
}


def register_moved_modules() -> None:
    """Make the old names importable. Each forwards to the new module on first use."""
    for old, new in _MOVED.items():
        module = sys.modules[old] = ModuleType(old)
        vars(module)["__getattr__"] = partial(_moved, new)


def _moved(module: str, name: str) -> Any:
    if name.startswith("__"):  # tools inspect every loaded module
        raise AttributeError(name)
    return getattr(import_module(module), name)
