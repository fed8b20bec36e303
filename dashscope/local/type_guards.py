"""``isinstance`` for type checkers that want to know what is inside: nothing is known of it."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeGuard


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a value is a list."""
    return isinstance(value, list)


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    """Tell whether a JSON value is an object."""
    return isinstance(value, dict)


def is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    """Tell whether a value is a mapping."""
    return isinstance(value, Mapping)


def is_array(value: object) -> TypeGuard[Iterable[Any]]:
    """Tell whether a value is what JSON writes as an array."""
    return isinstance(value, (list, tuple, set, frozenset))


def is_iterator(value: object) -> TypeGuard[Iterator[Any]]:
    """Tell whether a value is an iterator."""
    return isinstance(value, Iterator)


def is_dataclass(value: object) -> TypeGuard[Any]:
    """Tell whether a value is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
