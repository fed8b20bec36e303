"""Checks of an input against a model's schema.

Only the parts of the schema that this module understands are checked. The server checks the rest,
so that no valid input is refused. A JSON Schema validator cannot do this: files stand where the
schema requires a URL, and messages must name inputs as the caller wrote them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from dashscope._common.json import is_mapping, is_object, is_sequence
from dashscope._common.plain import UNCHANGED, is_iterator, plain
from dashscope._common.validation import either, shown
from dashscope._files.local_file import is_file
from dashscope._functions.schema import (
    DEEPEST,
    Input,
    ModelSchema,
    Schema,
    bounds,
    choices_of,
    kind_of,
    lengths,
    listed,
    named_json_types,
)

_ARTICLES: Final = {
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "string": "a string",
    "array": "a list",
    "object": "a mapping",
    "null": "None",
}
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)


class SchemaMismatchError(Exception):
    """A value does not match its schema.

    Args:
        error: The error to raise for the value.
    """

    def __init__(self, error: TypeError | ValueError) -> None:
        super().__init__(error)
        self.error = error


def is_uri(text: str) -> bool:
    """Return whether a text starts with a URI scheme. A single letter is a Windows drive."""
    return _URI.match(text) is not None


def bind(
    model: ModelSchema, name: str, args: Sequence[Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the inputs of a call, checked.

    Args:
        model: The schema.
        name: The name of the model, for messages.
        args: The positional arguments.
        inputs: The named arguments.

    Returns:
        The inputs to send. `None` is left out for an optional input that does not take null.

    Raises:
        TypeError: If an input is unknown, missing, passed twice or of the wrong type.
        ValueError: If a value is out of bounds.
    """
    given = {**_named(model, name, args, inputs), **inputs}
    check(model, name, given)
    left_out = {
        entry.name
        for entry in model.inputs
        if entry.may_be_none and not model.takes_null(entry.schema)
    }
    return {key: value for key, value in given.items() if value is not None or key not in left_out}


def _named(
    model: ModelSchema, name: str, args: Sequence[Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    if args and not model.is_known:
        raise TypeError(f"{name} does not describe its inputs: pass them by name")
    names = [entry.name for entry in model.parameters]
    if len(args) > len(names):
        raise TypeError(
            f"{name} takes at most {len(names)} positional arguments, not {len(args)}. "
            f"Its inputs: {', '.join(names) or 'none'}."
        )
    named = dict(zip(names, args, strict=False))
    for twice in named.keys() & inputs.keys():
        raise TypeError(f"{name} got the input {twice!r} by position and by name")
    return named


def check(model: ModelSchema, name: str, inputs: Mapping[str, Any]) -> None:
    """Raise if inputs do not match a model's schema.

    Args:
        model: The schema.
        name: The name of the model, for messages.
        inputs: The inputs as the caller passed them, including files.

    Raises:
        TypeError: If an input is unknown, missing or of the wrong type.
        ValueError: If a value is out of bounds.
    """
    if not model.is_known:
        return
    check_names(model, name, inputs)
    try:
        for entry in model.inputs:
            if entry.name in inputs:
                check_input(model, entry, inputs[entry.name])
    except (TypeError, ValueError) as mismatch:
        raise type(mismatch)(f"{name}: {mismatch}") from None
    missing = [entry for entry in model.inputs if entry.required and entry.name not in inputs]
    if missing:
        raise TypeError(f"{name} requires {', '.join(map(_with_description, missing))}")


def check_names(model: ModelSchema, name: str, inputs: Iterable[str]) -> None:
    """Raise a `TypeError` if the model has no input of a name."""
    if not model.is_known or model.component("Input").get("additionalProperties"):
        return
    known = [entry.name for entry in model.inputs]
    for given in inputs:
        if given not in known:
            raise TypeError(_unknown(name, given, known))


def check_input(model: ModelSchema, entry: Input, value: Any) -> None:
    """Raise if a value does not match the schema of an input.

    Raises:
        TypeError: If it has the wrong type.
        ValueError: If it is out of bounds.
    """
    if value is None and entry.may_be_none:
        return
    try:
        _check(model, value, entry.schema, entry.name, 0)
    except SchemaMismatchError as mismatch:
        raise mismatch.error from None


def _check(model: ModelSchema, value: Any, schema: Any, where: str, depth: int) -> None:
    schema = model.resolved(schema)
    if depth > DEEPEST or (value is None and schema.get("nullable") is True):
        return
    for part in listed(schema, "allOf"):
        _check(model, value, part, where, depth + 1)
    for key in ("anyOf", "oneOf"):
        if choices := listed(schema, key):
            _check_any(model, value, choices, where, depth + 1)
    json_types = named_json_types(schema)
    if is_file(value):
        if json_types and "string" not in json_types:
            raise SchemaMismatchError(
                TypeError(f"{where} must be {_either(json_types)}, not a file")
            )
        return
    # Reading an iterator here would use it up.
    if not is_iterator(value) and (found := plain(value)) is not UNCHANGED:
        value = found
    kind = kind_of(value)
    if json_types and not _fits(kind, json_types):
        if schema.get("format") == "uri":
            json_types = ["a URL or a file" if named == "string" else named for named in json_types]
        raise SchemaMismatchError(
            TypeError(f"{where} must be {_either(json_types)}, not {shown(value)}")
        )
    choices = choices_of(schema)
    if choices and not any(_same(value, choice) for choice in choices):
        raise SchemaMismatchError(
            ValueError(f"{where} must be {either(choices)}, not {shown(value)}")
        )
    _check_bounds(value, kind, schema, where)
    if is_sequence(value):
        for index, item in enumerate(value):
            _check(model, item, schema.get("items"), f"{where}[{index}]", depth + 1)
    elif is_mapping(value):
        _check_properties(model, value, schema, where, depth)


def _check_any(model: ModelSchema, value: Any, choices: list[Any], where: str, depth: int) -> None:
    mismatches: list[SchemaMismatchError] = []
    for choice in choices:
        try:
            _check(model, value, choice, where, depth)
        except SchemaMismatchError as mismatch:
            mismatches.append(mismatch)
        else:
            return
    # A value out of bounds is more informative than a value of the wrong type.
    for failed in mismatches:
        if isinstance(failed.error, ValueError):
            raise failed
    json_types = [kind for choice in choices for kind in model.json_types(choice)]
    given = "a file" if is_file(value) else shown(value)
    raise SchemaMismatchError(TypeError(f"{where} must be {_either(json_types)}, not {given}"))


def _check_bounds(value: Any, kind: str, schema: Schema, where: str) -> None:
    if kind in ("integer", "number"):
        limits = bounds(schema)
        if limits is not None and not limits.holds(value):
            raise SchemaMismatchError(ValueError(f"{where} must be {limits}, not {shown(value)}"))
    elif kind == "string":
        _check_length(value, schema, "Length", "characters", where)
        if schema.get("format") == "uri" and not is_uri(value):
            raise SchemaMismatchError(
                ValueError(
                    f"{where} must be a URL or a file, not {shown(value)}. "
                    "To send a local file, pass a pathlib.Path"
                )
            )
    elif kind == "array":
        _check_length(value, schema, "Items", "items", where)


def _check_length(value: Any, schema: Schema, what: str, unit: str, where: str) -> None:
    limits = lengths(schema, what)
    if limits is not None and not limits.holds(len(value)):
        raise SchemaMismatchError(
            ValueError(f"{where} must have {limits} {unit}, not {len(value)}")
        )


def _check_properties(
    model: ModelSchema, value: Mapping[Any, Any], schema: Schema, where: str, depth: int
) -> None:
    for name in listed(schema, "required"):
        if isinstance(name, str) and name not in value:
            raise SchemaMismatchError(TypeError(f"{where} requires {name!r}"))
    properties = schema.get("properties")
    if is_object(properties):
        for name, part in properties.items():
            if name in value:
                _check(model, value[name], part, f"{where}[{name!r}]", depth + 1)


def _fits(kind: str, json_types: list[str]) -> bool:
    if kind == "integer" and "number" in json_types:
        return True
    # `encode()` refuses values without a JSON form. The server checks types unknown here.
    return (
        kind in json_types
        or kind == "unknown"
        or any(named not in _ARTICLES for named in json_types)
    )


def _same(value: Any, choice: Any) -> bool:
    ours, theirs = kind_of(value), kind_of(choice)
    numbers = {"integer", "number"}
    return (ours == theirs or {ours, theirs} <= numbers) and value == choice


def _unknown(model: str, given: str, known: list[str]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{model} has no input {given!r}.{hint} Its inputs: {', '.join(known) or 'none'}."


def _with_description(entry: Input) -> str:
    return f"{entry.name!r} ({entry.description})" if entry.description else repr(entry.name)


def _either(json_types: list[str]) -> str:
    return " or ".join(_ARTICLES.get(kind, kind) for kind in dict.fromkeys(json_types))
