"""JSON values: what they are, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard


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
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def object_in(text: str) -> dict[str, Any]:
    """The object that `text` holds, or an empty one."""
    try:
        value = decode(text)
    except (ValueError, RecursionError):
        return {}
    return value if is_object(value) else {}
