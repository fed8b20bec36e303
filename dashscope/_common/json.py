"""JSON values: what they are, and how they are written."""

from __future__ import annotations

import gc
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

LARGE: Final = 64 * 1024
"""Characters of JSON from which on the garbage collector is held back."""


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Is this what JSON calls an object?"""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Is this what JSON calls an array?"""
    return isinstance(value, list)


def is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Can this be written as an object?"""
    return isinstance(value, Mapping)


def is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    """Can this be written as an array?"""
    return isinstance(value, Sequence) and not isinstance(
        value, str | bytes | bytearray | memoryview
    )


def encode(value: Any) -> bytes:
    """`value` as JSON.

    Raises:
        TypeError: when JSON has no form for something in it.
        ValueError: for NaN, an infinity, a lone surrogate, or a structure that contains itself.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode(text: str | bytes) -> Any:
    """The value that JSON stands for.

    Raises:
        ValueError: when it is not JSON; NaN and the infinities, which Python knows, are not.
        RecursionError: when it is nested too deep.
    """
    if len(text) < LARGE or not (gc.isenabled() or _under_way):
        return json.loads(text, parse_constant=_refuse)
    # Again and again the collector would go through what there is so far, and find nothing: two
    # thirds of the time that ten megabytes take. No other thread runs before they are read.
    try:
        _under_way.append(None)
        gc.disable()
        return json.loads(text, parse_constant=_refuse)
    finally:
        _under_way.pop()
        if not _under_way:
            gc.enable()


_under_way: list[None] = []
"""One for each thread that has switched the collector off: the last one switches it on again."""


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def object_in(text: str) -> dict[str, Any]:
    """The object that `text` holds, or an empty one."""
    try:
        value = decode(text)
    except (ValueError, RecursionError):
        return {}
    return value if is_object(value) else {}
