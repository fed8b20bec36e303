"""Package attributes that are imported on first use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def exports(
    package: str, modules: Mapping[str, str], hints: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """Return a `__getattr__` for a package that imports its public names on first use.

    Args:
        package: The name of the package.
        modules: The module of each name, relative to the package. A name that equals its module is
            the module itself.
        hints: What to use in place of names that the package does not have.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807 (the module-level hook)
        module = modules.get(name)
        if module is None:
            hint = (hints or {}).get(name)
            message = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(message if hint is None else f"{message}. {hint}")
        value: Any = import_module(f"{package}.{module}")
        if name != module:
            value = getattr(value, name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__
