"""JSON values: type checks, encoding and decoding."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard


class NotJSONError(ValueError):
    """A text contains a number that is not JSON: `NaN`, `Infinity` or `-Infinity`.

    Attributes:
        name: The number.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not JSON")
        self.name = name


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Return whether a decoded value is a JSON object."""
    return isinstance(value, dict)


def is_array(value: Any) -> TypeGuard[list[Any]]:
    """Return whether a decoded value is a JSON array."""
    return isinstance(value, list)


def is_mapping(value: Any) -> TypeGuard[Mapping[Any, Any]]:
    """Return whether a value can be encoded as a JSON object."""
    return isinstance(value, Mapping)


def is_sequence(value: Any) -> TypeGuard[Sequence[Any]]:
    """Return whether a value can be encoded as a JSON array."""
    return isinstance(value, Sequence) and not isinstance(
        value, str | bytes | bytearray | memoryview
    )


def encode(value: Any) -> bytes:
    """Return `value` as JSON.

    Raises:
        TypeError: If a value has no JSON form.
        ValueError: If a number is not finite, a text contains a lone surrogate, or a structure
            contains itself.
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def decode(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: If the text is not JSON. NaN and infinities are not JSON either.
        RecursionError: If the JSON is nested too deeply.
    """
    return json.loads(text, parse_constant=_reject_constant)


def _reject_constant(name: str) -> Any:
    raise NotJSONError(name)


def object_in(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`, or an empty object if there is none."""
    try:
        value = decode(text)
    except (ValueError, RecursionError):
        return {}
    return value if is_object(value) else {}
