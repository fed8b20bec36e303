"""A model's schema in Python: types, a signature, and the text of `help()`."""

from __future__ import annotations

import inspect
import keyword
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import EllipsisType, GenericAlias, MappingProxyType, NoneType
from typing import Annotated, Any, BinaryIO, Final, Literal, get_args, get_origin

from dashscope._common.json import is_array, is_object
from dashscope._functions.schema import (
    DEEPEST,
    Input,
    ModelSchema,
    Schema,
    bounds,
    lengths,
    own_json_types,
)

FILE: Final = Path | bytes | BinaryIO
"""The types accepted for an input that is a file, besides a URL."""

_TYPES: Final[dict[str, Any]] = {
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "null": None,
}


def hint(model: ModelSchema, schema: Any, file: Any = FILE | str, depth: int = 0) -> Any:
    """Return the Python type of the values of a schema, or `Any` if the schema does not tell.

    Args:
        model: The model that the schema belongs to.
        schema: The schema.
        file: The type to use for files.
        depth: The nesting depth.
    """
    schema = model.resolved(schema)
    if depth > DEEPEST or not schema:
        return Any
    for key in ("anyOf", "oneOf"):
        choices = schema.get(key)
        if is_array(choices) and choices:
            return _union([hint(model, choice, file, depth + 1) for choice in choices])
    choices = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if is_array(choices) and choices and all(_is_literal(choice) for choice in choices):
        found: Any = Literal[tuple(choices)]
    else:
        found = _union(
            [_of_kind(model, kind, schema, file, depth) for kind in own_json_types(schema)]
        )
    return _union([found, None]) if schema.get("nullable") is True else found


def _of_kind(model: ModelSchema, kind: str, schema: Schema, file: Any, depth: int) -> Any:
    if kind == "string" and schema.get("format") == "uri":
        return file
    if kind == "array":
        return GenericAlias(list, (hint(model, schema.get("items"), file, depth + 1),))
    if kind == "object":
        values = schema.get("additionalProperties")
        value = hint(model, values, file, depth + 1) if is_object(values) else Any
        return GenericAlias(dict, (str, value))
    return _TYPES.get(kind, Any)


def _union(hints: list[Any]) -> Any:
    if not hints or Any in hints:
        return Any
    found = hints[0]
    for other in hints[1:]:
        found = found | other
    return found


def _is_literal(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | str)


def type_of(model: ModelSchema, entry: Input) -> Any:
    """Return the Python type of an input."""
    found = hint(model, entry.schema)
    return _union([found, None]) if entry.may_be_none else found


def limits(schema: Schema) -> str | None:
    """Return the bounds of an input in words, or `None`."""
    found = [
        (bounds(schema), ""),
        (lengths(schema, "Length"), " characters"),
        (lengths(schema, "Items"), " items"),
    ]
    return ", ".join(f"{limit}{unit}" for limit, unit in found if limit is not None) or None


def signature(model: ModelSchema) -> inspect.Signature:
    """Return the signature of a model as a function.

    If the schema does not name all inputs, the signature accepts any keyword argument.
    """
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters: list[inspect.Parameter] = []
    for entry in model.inputs:
        if is_name(entry.name):
            annotation = type_of(model, entry)
            if (text := limits(entry.schema)) is not None:
                annotation = Annotated[annotation, text]
            default = _default(entry)
            parameters.append(
                inspect.Parameter(entry.name, kind, default=default, annotation=annotation)
            )
    if not model.is_known or len(parameters) < len(model.inputs):
        name = free_name("inputs", model)
        parameters.append(inspect.Parameter(name, inspect.Parameter.VAR_KEYWORD))
    returns = hint(model, model.output, file=str)
    return inspect.Signature(parameters, return_annotation=returns)


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a parameter."""
    return text.isidentifier() and not keyword.iskeyword(text)


def free_name(text: str, model: ModelSchema) -> str:
    """Return a name like `text` that no input has."""
    while any(entry.name == text for entry in model.inputs):
        text = f"_{text}"
    return text


def _default(entry: Input) -> Any:
    if entry.required and not entry.has_default:
        return inspect.Parameter.empty
    return entry.default if entry.has_default else LEFT_OUT


LEFT_OUT: Final[EllipsisType] = ...
"""Represents a default that only the model knows."""


def described(name: str, model: ModelSchema) -> str:
    """Return the help text of a model: how to call it, and what each input means."""
    if not model.is_known:
        return f"The model {name}. Its schema does not describe its inputs."
    call = ", ".join(f"{entry.name}={_value(entry)}" for entry in model.inputs)
    lines = [f"The model {name}.", "", *_wrapped(f"model({call})", 0, 6), "", "Args:"]
    for entry in model.inputs:
        about = [shown(type_of(model, entry)), limits(entry.schema)]
        if entry.has_default:
            about.append(f"defaults to {entry.default!r}")
        elif not entry.required:
            about.append("optional")
        facts = ", ".join(filter(None, about))
        text = f"{entry.name}: {entry.description or ''} ({facts})".replace(":  (", ": (")
        lines += _wrapped(text, 4, 8)
    if not model.inputs:
        lines += ["    none"]
    return "\n".join([*lines, "", "Returns:", f"    {shown(hint(model, model.output, file=str))}"])


def _value(entry: Input) -> str:
    return abridged(entry.default) if entry.has_default else "..."


LONGEST_DEFAULT: Final = 60
"""The longest default to show in a call, in characters. A default prompt may be pages long."""


def abridged(default: Any) -> str:
    """Return a default as shown in a call, or dots if it is too long."""
    text = repr(default)
    return text if len(text) <= LONGEST_DEFAULT else "..."


def _wrapped(text: str, indent: int, further: int) -> list[str]:
    return textwrap.wrap(text, 96, initial_indent=" " * indent, subsequent_indent=" " * further)


def shown(
    annotation: Any,
    file: str = "Path | bytes | BinaryIO",
    containers: Mapping[type, str] = MappingProxyType({}),
) -> str:
    """Return a type as source code.

    Args:
        annotation: The type, made by `hint()`.
        file: How to write the types of a file.
        containers: How to write `list` and `dict`. Defaults to their names.
    """
    origin, of = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return shown(of[0], file, containers)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, of))}]"
    if origin is list or origin is dict:
        name = containers.get(origin, origin.__name__)
        return f"{name}[{', '.join(shown(item, file, containers) for item in of)}]"
    if of:  # a union
        files = set(get_args(FILE))
        parts = [shown(item, file, containers) for item in of if item not in files]
        return " | ".join([file, *parts] if files <= set(of) else parts)
    return "None" if annotation in (None, NoneType) else str(annotation.__name__)
