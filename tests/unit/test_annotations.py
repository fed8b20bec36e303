"""Annotations resolve at run time, as pydantic, cattrs, FastAPI and type-checking hooks need."""

from __future__ import annotations

import importlib
import inspect
import typing
from collections.abc import Iterator
from typing import Any

from dashscope._common.cached_property import cached_property
from tests.unit.public_api import modules
from tests.variants import variants


def public(module: str) -> Iterator[Any]:
    """The public classes, functions and methods of a module."""
    found = importlib.import_module(module)
    own = [
        name for name, value in vars(found).items() if getattr(value, "__module__", "") == module
    ]
    for name in getattr(found, "__all__", None) or own:
        value = getattr(found, name)
        if inspect.isclass(value):
            yield value
            for member in vars(value).values():
                if isinstance(member, property):
                    member = member.fget
                elif isinstance(member, cached_property):
                    member = member.func
                member = getattr(member, "__func__", member)
                if inspect.isfunction(member):
                    yield member
        elif inspect.isfunction(value):
            yield value


@variants("module", modules())
def test_public_annotations_resolve(module: str) -> None:
    found = list(public(module))
    assert found
    for value in found:
        typing.get_type_hints(value)
        if inspect.isfunction(value):
            inspect.signature(value, eval_str=True)
