"""The schema of a value for pydantic: an object in JSON Schema, a value in Python.

This module is imported only when pydantic asks for a schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs
from pydantic import WithJsonSchema
from pydantic_core import core_schema as schemas
from typing_extensions import TypedDict

from dashscope.types._value import Serializable, to_json_types

TIME = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


def core_schema(source: Any, handler: Any) -> Any:
    """Return the schema of a value class, or of a generic one with its arguments."""
    cls: type[Serializable] = get_origin(source) or source
    arguments = tuple(arg for arg in get_args(source) if not isinstance(arg, TypeVar))

    create = cls._from_json  # pyright: ignore[reportPrivateUsage]

    def validate(value: Any, _: Any) -> Serializable:
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"must be a {cls.__name__} or a mapping of its fields")  # noqa: TRY004
        return create(to_json_types(value), arguments)

    return schemas.no_info_wrap_validator_function(
        validate,
        handler.generate_schema(_shape(cast("Any", cls), arguments)),
        serialization=schemas.plain_serializer_function_ser_schema(lambda value: value.to_dict()),
    )


@cache
def _shape(cls: Any, arguments: tuple[Any, ...]) -> Any:
    """Return the shape of `to_dict()` as a `TypedDict`."""
    create: Any = TypedDict  # type checkers accept only literal names and fields
    shape = create(cls.__name__, _fields(cls, arguments))
    shape.__module__ = cls.__module__
    shape.__doc__ = (cls.__doc__ or "").partition("\n")[0]
    return shape


def _fields(cls: Any, arguments: tuple[Any, ...]) -> dict[str, Any]:
    own: dict[str, Any] | None = cls._json_hints()
    if own is not None:
        return own
    hints = get_type_hints(cls)
    found: dict[str, Any] = {}
    for field in attrs.fields(cls):
        if field.name != "raw":
            kind = _json_type(hints[field.name], arguments)
            is_required = field.default is attrs.NOTHING
            found[field.name] = kind if is_required else NotRequired[kind]
    return found


def _json_type(kind: Any, arguments: tuple[Any, ...]) -> Any:
    """Return the annotation of a field as JSON types."""
    origin = get_origin(kind)
    if kind is datetime:
        return TIME
    if kind is Exception:
        return str
    if isinstance(kind, TypeVar):
        return arguments[0] if arguments else Any
    if origin is Literal:
        return kind | str  # servers add new choices
    if origin in (Union, UnionType):
        parts = [_json_type(part, arguments) for part in get_args(kind) if part is not NoneType]
        return Union[(*parts, None)]
    if origin is tuple:
        sequence: Any = list
        return sequence[_json_type(get_args(kind)[0], arguments)]
    return dict[str, Any] if origin is Mapping else kind
