"""The public API as text, one line per name and signature. `python -m` updates the file.

The file is updated only if the section [Unreleased] of the CHANGELOG has changed as well.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

import dashscope
import dashscope.resources
from dashscope._common.cached_property import cached_property

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("public_api.txt")


def modules() -> list[str]:
    """Return the modules that users import from, and the modules of the objects that they use."""
    found = ["dashscope", "dashscope.guides", "dashscope.types", "dashscope.webhooks"]
    found.append("dashscope.local")
    for info in pkgutil.walk_packages(dashscope.__path__, "dashscope."):
        public = not any(part.startswith("_") for part in info.name.split("."))
        if public and info.name.startswith(("dashscope.resources.", "dashscope.integrations.")):
            found.append(info.name)
        if info.name == "dashscope.testing":
            found.append(info.name)
    return sorted(found)


def lines() -> list[str]:
    return [line for name in modules() for line in _module(importlib.import_module(name))]


def unreleased() -> str:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    return text.partition("## [Unreleased]")[2].partition("\n## ")[0].strip()


def digest() -> str:
    return hashlib.sha256(unreleased().encode()).hexdigest()[:16]


def _module(module: ModuleType) -> Iterator[str]:
    names = getattr(module, "__all__", None)
    for name in sorted(names or vars(module)):
        value = getattr(module, name)
        own = getattr(value, "__module__", None) == module.__name__
        if names or (own and not name.startswith("_")):
            yield from _member(f"{module.__name__}.{name}", value)


def _public_bases(cls: type) -> Iterator[type]:
    return (base for base in cls.__bases__ if base is not object and base.__name__[0] != "_")


def _member(path: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in _public_bases(value))
        yield f"class {path}({bases})"
        if attrs.has(value):
            written = {}  # as written in the class: attrs may have resolved its types
            for base in reversed(value.__mro__):
                written.update(vars(base).get("__annotations__", {}))
            for item in attrs.fields(value):
                if not item.name.startswith("_"):
                    yield f"  {path}.{item.name}: {_shown(written[item.name])}"
        elif "__init__" in vars(value) and "Args:" in (value.__doc__ or ""):
            yield f"  {path}{_signature(value.__init__)}"
        for name, member in sorted(vars(value).items()):
            if name.startswith("_"):
                continue
            if isinstance(member, property | cached_property):
                yield f"  {path}.{name} (property)"
            elif inspect.isfunction(member) or isinstance(member, classmethod | staticmethod):
                function = inspect.unwrap(getattr(member, "__func__", member))
                kind = "async " if inspect.iscoroutinefunction(function) else ""
                yield f"  {kind}{path}.{name}{_signature(function)}"
    elif inspect.isfunction(value):
        kind = "async " if inspect.iscoroutinefunction(value) else ""
        yield f"{kind}{path}{_signature(value)}"
    elif not inspect.ismodule(value) and path != "dashscope.__version__":
        yield path


def _signature(function: Any) -> str:
    text = re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(function)))
    return text.replace("pathlib._local.", "pathlib.")  # like Python 3.13


def _shown(type: Any) -> str:
    return type if isinstance(type, str) else getattr(type, "__name__", str(type))


if __name__ == "__main__":
    written = SNAPSHOT.read_text("utf-8").splitlines() if SNAPSHOT.exists() else [""]
    if written[1:] == lines():
        sys.exit("The public API is unchanged.")
    if written[0] == digest():
        sys.exit("The public API has changed: say so in the CHANGELOG, under [Unreleased], first.")
    SNAPSHOT.write_text("\n".join([digest(), *lines(), ""]), "utf-8")
