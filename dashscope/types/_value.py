"""The bases of the values: mappings that convert to JSON types and are pydantic fields."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, Self, cast

import attrs

from dashscope._common.hints import ATTRIBUTES
from dashscope._common.json import is_mapping, is_sequence
from dashscope._common.plain import UNCHANGED, plain
from dashscope.types._repr import class_of, represent

MISSING: Final[Any] = object()


class Serializable:
    """A value that converts to JSON types and is a pydantic field."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON types, under the names of the API and without `raw`.

        Returns:
            A dict that every JSON library can encode. Times are text.

        Example:
            ```python
            prediction = await client.predictions.get(prediction.id)
            print(prediction.to_dict()["created_at"])
            ```
        """
        return {name: to_json_types(item) for name, item in _items(self)}

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict()` as JSON text.

        Args:
            indent: The number of spaces per level. Defaults to a single line.

        Returns:
            The text.

        Example:
            ```python
            prediction = await client.predictions.get(prediction.id)
            print(prediction.to_json(indent=2))
            ```
        """
        separators = (",", ":") if indent is None else None
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent, separators=separators)

    @classmethod
    def _from_json(cls, value: dict[str, Any], arguments: tuple[Any, ...]) -> Self:
        """Return what `to_dict()` returned as a value.

        Args:
            value: The fields as JSON types.
            arguments: The type arguments of a generic class.

        Raises:
            ValueError: If the fields do not match.
        """
        from dashscope.types._structure import fitted

        return fitted(value, cls)

    @classmethod
    def _json_hints(cls) -> dict[str, Any] | None:
        """Return the types of the entries of `to_dict()` if they are not those of the fields."""
        return None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from dashscope.types._pydantic import core_schema

        return core_schema(source, handler)

    def _shown_fields(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the names and values to show in the `repr`."""
        hidden = _hidden(class_of(self))
        return ((name, value) for name, value in _items(self) if name not in hidden)

    def __repr__(self) -> str:
        return represent(type(self).__name__, self._shown_fields())


class Value(Serializable, Mapping[str, Any]):
    """A value that is also a read-only mapping of its fields, without `raw`.

    Values in it are dicts. `dict(value)` and `DataFrame([value, ...])` work.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        if name in names_of(type(self)):
            return _as_dicts(getattr(self, name))
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(names_of(type(self)))

    def __len__(self) -> int:
        return len(names_of(type(self)))

    def __bool__(self) -> Literal[True]:
        return True

    def __contains__(self, name: object) -> bool:
        return name in names_of(type(self))

    if not TYPE_CHECKING:  # type checkers must report unknown attributes

        def __getattr__(self, name: str) -> NoReturn:
            kind = type(self).__name__
            hint = ATTRIBUTES.get(kind, {}).get(name, "")
            message = f"{kind!r} object has no attribute {name!r}{hint and '. '}{hint}"
            raise AttributeError(message, name=name, obj=self)


class PartialValue(Value):
    """A value of which some fields may be unavailable. Reading such a field raises.

    The slot of an unavailable field is unset. In the mapping, the field is `None`.
    """

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        if name in names_of(type(self)):
            found = _get(self, name)
            return None if found is MISSING else _as_dicts(found)
        raise KeyError(name)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name in names_of(type(self)):
                raise self._unavailable(name)
            super().__getattr__(name)

    def _unavailable(self, name: str) -> Exception:
        """Return the exception to raise when an unavailable field is read."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            _get(self, field.name) == _get(other, field.name)
            for field in _attributes(type(self))
            if field.eq
        )

    def __hash__(self) -> int:
        return hash(
            tuple(
                _get(self, field.name)
                for field in _attributes(type(self))
                if (field.eq if field.hash is None else field.hash)
            )
        )

    def __getstate__(self) -> dict[str, Any]:
        return {
            field.name: value
            for field in _attributes(type(self))
            if (value := _get(self, field.name)) is not MISSING
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)


def _attributes(cls: Any) -> Sequence[Any]:
    found: Sequence[Any] = attrs.fields(cls)
    return found


def unset(value: PartialValue, name: str) -> None:
    """Make a field of a value unavailable."""
    object.__delattr__(value, name)


def is_available(value: PartialValue, name: str) -> bool:
    """Return whether a field of a value can be read."""
    return _get(value, name) is not MISSING


@cache
def names_of(cls: Any) -> tuple[str, ...]:
    """Return the names of the fields of a class, without `raw`."""
    return tuple(field.name for field in _attributes(cls) if field.name != "raw")


@cache
def _hidden(cls: Any) -> frozenset[str]:
    return frozenset(field.name for field in _attributes(cls) if not field.repr)


def _get(value: Any, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return MISSING


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over the available fields of a value, without `raw`."""
    for name in names_of(class_of(value)):
        if (found := _get(value, name)) is not MISSING:
            yield name, found


def _as_dicts(value: Any) -> Any:
    """Return a field of a value with the values in it as dicts."""
    if isinstance(value, Serializable):
        return {name: _as_dicts(item) for name, item in _items(value)}
    found: Any = value
    return [_as_dicts(item) for item in found] if isinstance(value, tuple) else found


def to_json_types(value: Any) -> Any:
    """Return any value as JSON types. Bytes become data URIs, and unknown objects their text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str.__str__(value)  # the URL of a file output, or the text of an enum member
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Serializable):
        return value.to_dict()
    if is_mapping(value):
        return {str(name): to_json_types(item) for name, item in value.items()}
    if is_sequence(value):
        return [to_json_types(item) for item in value]
    if isinstance(value, datetime) and value.utcoffset() is not None:
        return value.isoformat().replace("+00:00", "Z")  # as the API writes times
    if isinstance(value, bytes | bytearray | memoryview):
        content = base64.b64encode(cast("bytes", value)).decode()
        return f"data:application/octet-stream;base64,{content}"
    if isinstance(value, os.PathLike):
        return os.fsdecode(cast("os.PathLike[str]", value))
    found = plain(value)
    return str(value) if found is UNCHANGED else to_json_types(found)
