"""A model's schema in Python: types, a signature, and the text of `help()`."""

from __future__ import annotations

import builtins
import inspect
import keyword
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import GenericAlias, MappingProxyType, NoneType
from typing import Annotated, Any, BinaryIO, Final, Literal, get_args, get_origin

from dashscope._common.json import is_array, is_object
from dashscope._common.urls import Reference
from dashscope._functions.constraint import Constraint
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


def hint(model: ModelSchema, schema: Any, file: Any = str, depth: int = 0) -> Any:
    """Return the Python type of the values of a schema, or `Any` if the schema does not tell.

    Args:
        model: The model that the schema belongs to.
        schema: The schema.
        file: The type to use for files. Defaults to `str`, for their URLs.
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
    found, *others = dict.fromkeys(hints)
    for other in others:
        found = found | other
    return found


def _is_literal(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | str)


def type_of(model: ModelSchema, entry: Input, file: Any = str) -> Any:
    """Return the Python type of an input. `file` is the type to use for files."""
    found = hint(model, entry.schema, file)
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

    Inputs without a default come first, each group in the order of the model. If the schema does
    not name all inputs, the signature accepts any keyword argument.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter(
            entry.name, kind, default=_default(entry), annotation=_annotation(model, entry)
        )
        for entry in model.parameters
    ]
    if not model.is_known or len(parameters) < len(model.inputs):
        name = free_name("inputs", model)
        parameters.append(inspect.Parameter(name, inspect.Parameter.VAR_KEYWORD))
    return inspect.Signature(parameters, return_annotation=hint(model, model.output))


def annotations_of(model: ModelSchema) -> dict[str, Any]:
    """Return the annotations of a model as a function."""
    found = {entry.name: _annotation(model, entry) for entry in model.parameters}
    return {**found, "return": hint(model, model.output)}


def _annotation(model: ModelSchema, entry: Input) -> Any:
    kind = type_of(model, entry)
    constraint = Constraint(model, entry)
    if entry.description is None:
        return Annotated[kind, constraint]
    return Annotated[kind, entry.description, constraint]


def identifier(text: str) -> str:
    """Return a name as an identifier: `hello_world` for `hello-world`."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII).lower()
    return name if is_name(name) and not hasattr(builtins, name) else f"model_{name}"


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a variable."""
    return text.isidentifier() and not keyword.iskeyword(text)


def free_name(text: str, model: ModelSchema) -> str:
    """Return a name like `text` that no input has."""
    while any(entry.name == text for entry in model.inputs):
        text = f"_{text}"
    return text


def _default(entry: Input) -> Any:
    if entry.required and not entry.has_default:
        return inspect.Parameter.empty
    return entry.default


def described(name: str, model: ModelSchema) -> str:
    """Return the help text of a model: what it does, how to call it, and what each input means."""
    lines = [] if model.description is None else [*_wrapped(model.description, 0, 0), ""]
    if not model.is_known:
        return "\n".join([*lines, f"The model {name}. Its schema does not describe its inputs."])
    call = ", ".join(f"{entry.name}={_value(entry)}" for entry in model.parameters)
    function = identifier(Reference.parse(name).name)
    lines += [f"The model {name}.", "", *_wrapped(f"{function}({call})", 0, 6), "", "Args:"]
    for entry in model.inputs:
        kind = type_of(model, entry, FILE)
        about = [shown(kind, file="URL or file"), limits(entry.schema)]
        if entry.has_default:
            about.append(f"defaults to {entry.default!r}")
        elif not entry.required:
            about.append("optional")
        facts = ", ".join(filter(None, about))
        text = f"{entry.name}: {entry.description or ''} ({facts})".replace(":  (", ": (")
        lines += _wrapped(text, 4, 8)
    if not model.inputs:
        lines += ["    none"]
    return "\n".join([*lines, "", "Returns:", f"    {shown(hint(model, model.output))}"])


def _value(entry: Input) -> str:
    if entry.required and not entry.has_default:
        return "..."
    return abridged(entry.default)


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
