"""The `repr` of values: short enough for a terminal or a log, whatever the values contain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, Final, cast

from attrs import frozen

LONGEST: Final = 2000
"""The longest `repr` of a value, in characters."""
LONGEST_DATA_URI: Final = 80


@frozen
class Limits:
    """How much of a value to show: characters of a text, items of a container, and levels."""

    text: int
    items: int
    depth: int


_ATTEMPTS: Final = (Limits(600, 40, 6), Limits(200, 15, 5), Limits(60, 6, 4), Limits(30, 3, 3))


class Summary(str):
    """A text that is shown in a `repr` without quotes."""

    __slots__ = ()


def represent(name: str, fields: Iterable[tuple[str, Any]]) -> str:
    """Return the `repr` of an object: `Name(field=value)`, of at most `LONGEST` characters."""
    found = list(fields)
    text = ""
    for limits in _ATTEMPTS:
        text = _named(name, found, limits)
        if len(text) <= LONGEST:
            return text
    return shortened(text, LONGEST)


def shortened(text: str, longest: int) -> str:
    """Return a text with its middle replaced by an ellipsis if it is too long."""
    if len(text) <= longest:
        return text
    head = longest * 2 // 3
    return f"{text[:head]}…{text[len(text) - (longest - head - 1) :]}"


def _named(name: str, fields: Iterable[tuple[str, Any]], limits: Limits) -> str:
    return f"{name}({', '.join(f'{field}={_shown(value, limits)}' for field, value in fields)})"


def _shown(value: Any, limits: Limits) -> str:
    if isinstance(value, Summary):
        return str(value)
    if isinstance(value, str):
        is_data = value[:5].lower() == "data:"
        longest = min(limits.text, LONGEST_DATA_URI) if is_data else limits.text
        return repr(shortened(str.__str__(value), longest))
    if isinstance(value, bytes | bytearray):
        return repr(bytes(value)) if len(value) <= limits.text else f"<{len(value)} bytes>"
    cls = class_of(value)
    if callable(fields := getattr(cls, "_shown_fields", None)):
        if limits.depth == 0:
            return f"{cls.__name__}(…)"
        inner = Limits(limits.text, limits.items, limits.depth - 1)
        found: Any = fields(value)
        return _named(cls.__name__, found, inner)
    if isinstance(value, Mapping | list | tuple | AbstractSet):
        return _container(cast("Any", value), limits)
    return shortened(repr(value), limits.text)


def class_of(value: object) -> Any:
    """Return the class of a value, of which type checkers know nothing."""
    return type(value)


def _container(value: Any, limits: Limits) -> str:
    entire, size = value, len(value)  # what type checkers know about `value` changes below
    is_mapping, is_tuple = isinstance(value, Mapping), isinstance(value, tuple)
    start, end = "[]" if isinstance(value, list) else "()" if is_tuple else "{}"
    if limits.depth == 0 and size > 0:
        return f"{start}…{end}"
    inner = Limits(limits.text, limits.items, limits.depth - 1)
    found: Any = islice(entire.items() if is_mapping else entire, limits.items)
    if is_mapping:
        texts = [f"{_shown(key, inner)}: {_shown(item, inner)}" for key, item in found]
    else:
        texts = [_shown(item, inner) for item in found]
    if size > limits.items:
        texts.append(f"… {size - limits.items} more")
    if is_tuple and size == 1:
        texts.append("")
    return start + ", ".join(texts).rstrip(" ") + end
