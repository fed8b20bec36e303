"""What the schema of a version says about a model's inputs and output. Pure.

The schema comes from the server and may be anything. What it does not say is not guessed.
"""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import chain
from typing import Any, Final, TypeAlias

from attrs import field, frozen

from dashscope import types
from dashscope._common.json import is_array, is_mapping, is_object, is_sequence

Schema: TypeAlias = Mapping[str, Any]

DEEPEST: Final = 16
"""How many references and alternatives to follow. A schema may refer to itself."""


@frozen
class Input:
    """An input of a model.

    Attributes:
        name: The name.
        schema: The schema of its values, with references resolved.
        required: Whether the input must be passed.
    """

    name: str
    schema: Schema = field(hash=False)
    required: bool = False

    @property
    def has_default(self) -> bool:
        """True if the schema has a default."""
        return "default" in self.schema

    @property
    def default(self) -> Any:
        """The default, or `None`."""
        return self.schema.get("default")

    @property
    def description(self) -> str | None:
        """The description, on one line, or `None`."""
        text = self.schema.get("description")
        return " ".join(text.split()) if isinstance(text, str) and text.strip() else None

    @property
    def may_be_none(self) -> bool:
        """True if `None` is accepted, whatever the schema says.

        The schemas of older models omit `null` for optional inputs without a default.
        """
        return not self.required and self.default is None

    @property
    def is_parameter(self) -> bool:
        """True if the name can be that of a parameter in Python."""
        return self.name.isidentifier() and not keyword.iskeyword(self.name)


@frozen(kw_only=True, slots=False)
class ModelSchema:
    """The inputs and the output of a version of a model.

    Attributes:
        document: The version's `openapi_schema`. Empty if there is none.
        description: The description of the model, or `None`.
    """

    document: Schema = field(factory=dict[str, Any], hash=False, repr=False)
    description: str | None = None

    @cached_property
    def is_known(self) -> bool:
        """True if the schema describes the inputs."""
        return is_object(self.component("Input").get("properties"))

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, in the model's order."""
        return self.inputs_of("Input")

    @cached_property
    def parameters(self) -> tuple[Input, ...]:
        """The inputs that can be parameters in Python, those without a default first."""
        named = [entry for entry in self.inputs if entry.is_parameter]
        return tuple(sorted(named, key=lambda entry: not entry.required or entry.has_default))

    def takes_null(self, schema: Any) -> bool:
        """Return whether a schema names null as a value."""
        return "null" in self.json_types(schema) or self.resolved(schema).get("nullable") is True

    def inputs_of(self, component: str) -> tuple[Input, ...]:
        """Return the inputs in a component of the document: `Input` or `TrainingInput`."""
        schema = self.component(component)
        properties = schema.get("properties")
        if not is_object(properties):
            return ()
        wanted = listed(schema, "required")
        found = [
            Input(name, self.resolved(value), name in wanted) for name, value in properties.items()
        ]
        last = len(found)
        places = {
            entry.name: order if isinstance(order := entry.schema.get("x-order"), int) else last
            for entry in found
        }
        return tuple(sorted(found, key=lambda entry: places[entry.name]))

    @property
    def output(self) -> Schema:
        """The schema of the output."""
        return self.component("Output")

    def component(self, name: str) -> Schema:
        """Return a component of the document."""
        return self.resolved({"$ref": f"#/components/schemas/{name}"})

    def resolved(self, schema: Any) -> Schema:
        """Return a schema with its `$ref`, or an `allOf` with a single entry, merged into it."""
        for _ in range(DEEPEST):
            if not is_object(schema):
                return {}
            other: Any = None
            rest = dict(schema)
            if isinstance(reference := rest.pop("$ref", None), str):
                other = self._at(reference)
            elif is_array(parts := rest.get("allOf")) and len(parts) == 1:
                del rest["allOf"]
                other = parts[0]
            if other is None:
                return schema
            schema = {**other, **rest} if is_object(other) else rest
        return {}

    def _at(self, reference: str) -> Any:
        found: Any = self.document
        for step in reference.removeprefix("#/").split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if is_object(found) else None
        return found if is_object(found) else {}

    def json_types(self, schema: Any, depth: int = 0) -> list[str]:
        """Return the JSON types that a schema accepts. Empty if the schema does not tell."""
        schema = self.resolved(schema)
        if depth > DEEPEST:
            return []
        if found := own_json_types(schema):
            return found
        for key in ("anyOf", "oneOf"):
            if choices := listed(schema, key):
                each = [self.json_types(choice, depth + 1) for choice in choices]
                return list(dict.fromkeys(chain(*each))) if all(each) else []
        parts = (self.json_types(part, depth + 1) for part in listed(schema, "allOf"))
        return next(filter(None, parts), list[str]())


def schema_of(version: types.Version | None, *, description: str | None = None) -> ModelSchema:
    """Return the schema of a version. Empty if the version has none.

    Args:
        version: The version.
        description: The description of its model.
    """
    document = (version and version.openapi_schema) or {}
    return ModelSchema(document=document, description=description)


@frozen
class Bounds:
    """The bounds of a number."""

    least: float | None
    most: float | None
    over: float | None
    under: float | None

    def holds(self, value: float) -> bool:
        """Return whether a value is within the bounds."""
        return not (
            (self.least is not None and value < self.least)
            or (self.most is not None and value > self.most)
            or (self.over is not None and value <= self.over)
            or (self.under is not None and value >= self.under)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"from {self.least} to {self.most}"
        return " and ".join(self._words())

    def _words(self) -> Iterator[str]:
        for words, bound in (
            ("at least", self.least),
            ("more than", self.over),
            ("at most", self.most),
            ("less than", self.under),
        ):
            if bound is not None:
                yield f"{words} {bound}"


def bounds(schema: Schema) -> Bounds | None:
    """Return the bounds of a number, or `None`."""
    least, most = _number(schema, "minimum"), _number(schema, "maximum")
    over, under = _number(schema, "exclusiveMinimum"), _number(schema, "exclusiveMaximum")
    # Up to OpenAPI 3.0 these two are flags that make `minimum` and `maximum` exclusive.
    if schema.get("exclusiveMinimum") is True:
        least, over = None, least
    if schema.get("exclusiveMaximum") is True:
        most, under = None, most
    return _bounds(least, most, over, under)


def lengths(schema: Schema, what: str) -> Bounds | None:
    """Return the bounds of a length, or `None`. `what` is `Length` or `Items`."""
    return _bounds(_number(schema, f"min{what}"), _number(schema, f"max{what}"))


def named_json_types(schema: Schema) -> list[str]:
    """Return the JSON types in a schema's `type`."""
    named = schema.get("type")
    if isinstance(named, str):
        return [named]
    return [kind for kind in named if isinstance(kind, str)] if is_array(named) else []


def own_json_types(schema: Schema) -> list[str]:
    """Return the JSON types in a schema's `type`, or those of its `enum` or `const` values."""
    return named_json_types(schema) or list(dict.fromkeys(map(kind_of, choices_of(schema))))


def choices_of(schema: Schema) -> list[Any]:
    """Return the values in a schema's `enum` and `const`."""
    return [*listed(schema, "enum"), *([schema["const"]] if "const" in schema else [])]


def listed(schema: Schema, key: str) -> list[Any]:
    """Return a part of a schema that is a list, or an empty list."""
    value = schema.get(key)
    return value if is_array(value) else []


def kind_of(value: Any) -> str:
    """Return the JSON type of a Python value."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"  # JSON Schema counts 2.0 as an integer
    for kind, name in ((bool, "boolean"), (int, "integer"), (str, "string")):
        if isinstance(value, kind):
            return name
    if is_mapping(value):
        return "object"
    return "array" if is_sequence(value) else "unknown"


def _bounds(
    least: float | None, most: float | None, over: float | None = None, under: float | None = None
) -> Bounds | None:
    found = Bounds(least, most, over, under)
    return None if found == Bounds(None, None, None, None) else found


def _number(schema: Schema, key: str) -> float | None:
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
