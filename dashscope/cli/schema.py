"""What a model's schema says of its inputs, and a value from the command line read by it.

Pure: the schema comes from the server and may be anything; what it does not say is not guessed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from attrs import frozen

from dashscope._json import is_array, is_object

DEEPEST: Final = 8
"""References to follow; a schema may refer to itself."""

_NAMES: Final = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (str, "string"),
    (list, "array"),
    (dict, "object"),
    (type(None), "null"),
)


@frozen
class InputSchema:
    """One input of a model.

    Attributes:
        name: its key.
        kinds: the JSON types it takes, none where the schema does not say.
        required: whether it has to be given.
        default: what it is otherwise.
        description: what it is for.
    """

    name: str
    kinds: frozenset[str]
    required: bool = False
    default: Any = None
    description: str | None = None

    def read(self, text: str) -> Any:
        """A value from the command line, as one of the types that the input takes."""
        if self.kinds and self.kinds <= {"string", "null"}:
            return text
        if "boolean" in self.kinds and text.lower() in ("true", "false"):
            return text.lower() == "true"
        value = literal(text)
        if "string" in self.kinds and (isinstance(value, str) or not self._takes(value)):
            return text
        return value

    def _takes(self, value: Any) -> bool:
        kind = kind_of(value)
        return kind in self.kinds or (kind == "integer" and "number" in self.kinds)


ANYTHING: Final = InputSchema("", frozenset())
"""An input of which nothing is known."""


def literal(text: str) -> Any:
    """The value that `text` looks like: JSON, else text."""
    try:
        return json.loads(text, parse_constant=lambda _: text)
    except (ValueError, RecursionError):
        return text


def is_plain(text: str) -> bool:
    """Is this text whatever a schema says?"""
    return literal(text) == text and text.lower() not in ("true", "false")


def kind_of(value: Any) -> str:
    """The JSON type of a value."""
    return next((name for kind, name in _NAMES if isinstance(value, kind)), "unknown")


def inputs(document: Mapping[str, Any] | None, part: str = "Input") -> dict[str, InputSchema]:
    """The inputs that a version's `openapi_schema` tells of, in its order, by name."""
    schema = _resolved({"$ref": f"#/components/schemas/{part}"}, document)
    properties = schema.get("properties")
    if not is_object(properties):
        return {}
    wanted = schema.get("required")
    required: list[Any] = wanted if is_array(wanted) else []
    found = {
        name: _input(name, value, document, required=name in required)
        for name, value in properties.items()
    }
    places = {
        name: place if isinstance(place := value.get("x-order"), int) else len(found)
        for name, value in properties.items()
        if is_object(value)
    }
    return dict(sorted(found.items(), key=lambda item: places.get(item[0], len(found))))


def _input(name: str, schema: Any, document: Any, *, required: bool) -> InputSchema:
    known = schema if is_object(schema) else {}
    description = known.get("description")
    return InputSchema(
        name,
        kinds(schema, document),
        required=required,
        default=known.get("default"),
        description=description if isinstance(description, str) else None,
    )


def kinds(schema: Any, document: Any, depth: int = 0) -> frozenset[str]:
    """The JSON types that a schema lets through; none where it does not say."""
    if depth > DEEPEST:
        return frozenset()
    schema = _resolved(schema, document)
    named = schema.get("type")
    if isinstance(named, str):
        return frozenset({named})
    if is_array(named):
        return frozenset(name for name in named if isinstance(name, str))
    for key in ("anyOf", "oneOf"):
        if is_array(schema.get(key)):
            found = [kinds(choice, document, depth + 1) for choice in schema[key]]
            return frozenset[str]().union(*found) if all(found) else frozenset[str]()
    if is_array(schema.get("allOf")):
        parts = (kinds(part, document, depth + 1) for part in schema["allOf"])
        return next((found for found in parts if found), frozenset[str]())
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return frozenset(kind_of(value) for value in values) if is_array(values) else frozenset()


def _resolved(schema: Any, document: Any) -> dict[str, Any]:
    for _ in range(DEEPEST):
        if not is_object(schema):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        schema = document
        for step in _steps(reference):
            schema = schema.get(step) if is_object(schema) else None
    return {}


def _steps(reference: str) -> Iterator[str]:
    for step in reference.removeprefix("#/").split("/"):
        yield step.replace("~1", "/").replace("~0", "~")
