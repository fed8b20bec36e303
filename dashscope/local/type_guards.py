"""``isinstance`` checks whose result has type arguments, for strict type checkers."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is a list."""
    return isinstance(value, list)


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    """Return whether a JSON value is an object."""
    return isinstance(value, dict)


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Return whether a value is a mapping."""
    return isinstance(value, Mapping)


def is_array(value: object) -> TypeGuard[Iterable[Any]]:
    """Return whether a value is encoded as a JSON array."""
    return isinstance(value, (list, tuple, set, frozenset))


def is_iterator(value: object) -> TypeGuard[Iterator[Any]]:
    """Return whether a value is an iterator."""
    return isinstance(value, Iterator)


def is_dataclass(value: object) -> TypeGuard[Any]:
    """Return whether a value is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
