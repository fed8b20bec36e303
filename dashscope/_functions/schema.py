"""What a version's schema says of a model's inputs and output.

Pure: the schema comes from the server and may be anything; what it does not say is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import chain
from typing import Any, Final, TypeAlias

from attrs import field, frozen

from dashscope import types
from dashscope._common.json import is_array, is_mapping, is_object, is_sequence

Schema: TypeAlias = Mapping[str, Any]

DEEPEST: Final = 16
"""References and alternatives to follow: a schema may refer to itself."""


@frozen
class Input:
    """One input of a model.

    Attributes:
        name: its name.
        schema: what its values are like, references resolved.
        required: whether it has to be given.
    """

    name: str
    schema: Schema = field(hash=False)
    required: bool = False

    @property
    def has_default(self) -> bool:
        """Does the schema say what it is when it is not given?"""
        return "default" in self.schema

    @property
    def default(self) -> Any:
        """What it is when it is not given."""
        return self.schema.get("default")

    @property
    def description(self) -> str | None:
        """What it is for."""
        text = self.schema.get("description")
        return " ".join(text.split()) if isinstance(text, str) and text.strip() else None

    @property
    def may_be_none(self) -> bool:
        """Is `None` taken, whatever the schema says?

        Schemas of older models do not say so of inputs that are optional and have no default.
        """
        return not self.required and self.default is None


@frozen(kw_only=True, slots=False)
class ModelSchema:
    """The inputs and the output of a version of a model.

    Attributes:
        document: the version's `openapi_schema`; without one, nothing is known.
    """

    document: Schema = field(factory=dict[str, Any], hash=False, repr=False)

    @cached_property
    def is_known(self) -> bool:
        """Does it say what the inputs are?"""
        return is_object(self.component("Input").get("properties"))

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, in the order that the model has them in."""
        return self.inputs_of("Input")

    def inputs_of(self, component: str) -> tuple[Input, ...]:
        """What one of the document's schemas names: `Input`, or `TrainingInput`."""
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
        """What the output is like."""
        return self.component("Output")

    def component(self, name: str) -> Schema:
        """One of the document's schemas."""
        return self.resolved({"$ref": f"#/components/schemas/{name}"})

    def resolved(self, schema: Any) -> Schema:
        """A schema with the one it refers to, and `allOf` of one, put in its place."""
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
        """The JSON types that a schema lets through; none where it does not say."""
        schema = self.resolved(schema)
        if depth > DEEPEST:
            return []
        if found := own_kinds(schema):
            return found
        for key in ("anyOf", "oneOf"):
            if choices := listed(schema, key):
                each = [self.json_types(choice, depth + 1) for choice in choices]
                return list(dict.fromkeys(chain(*each))) if all(each) else []
        parts = (self.json_types(part, depth + 1) for part in listed(schema, "allOf"))
        return next(filter(None, parts), list[str]())


def schema_of(version: types.Version | None) -> ModelSchema:
    """The schema of a version; one that says nothing, where there is none."""
    return ModelSchema(document=(version and version.openapi_schema) or {})


@frozen
class Bounds:
    """What a number may be."""

    least: float | None
    most: float | None
    over: float | None
    under: float | None

    def holds(self, value: float) -> bool:
        """Is it within?"""
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
    """The bounds of a number, if there are any."""
    least, most = _number(schema, "minimum"), _number(schema, "maximum")
    over, under = _number(schema, "exclusiveMinimum"), _number(schema, "exclusiveMaximum")
    # Up to OpenAPI 3.0 these two say of the others whether they are exclusive.
    if schema.get("exclusiveMinimum") is True:
        least, over = None, least
    if schema.get("exclusiveMaximum") is True:
        most, under = None, most
    return _bounds(least, most, over, under)


def lengths(schema: Schema, what: str) -> Bounds | None:
    """The bounds of a length, if there are any, `what` being `Length` or `Items`."""
    return _bounds(_number(schema, f"min{what}"), _number(schema, f"max{what}"))


def named_json_types(schema: Schema) -> list[str]:
    """The JSON types that a schema names itself."""
    named = schema.get("type")
    if isinstance(named, str):
        return [named]
    return [kind for kind in named if isinstance(kind, str)] if is_array(named) else []


def own_kinds(schema: Schema) -> list[str]:
    """The JSON types that a schema names itself, or else those of the values that it takes."""
    return named_json_types(schema) or list(dict.fromkeys(map(kind_of, choices_of(schema))))


def choices_of(schema: Schema) -> list[Any]:
    """The values that a schema takes, where it lists them."""
    return [*listed(schema, "enum"), *([schema["const"]] if "const" in schema else [])]


def listed(schema: Schema, key: str) -> list[Any]:
    """A part of a schema that is a list; empty where there is none."""
    value = schema.get(key)
    return value if is_array(value) else []


def kind_of(value: Any) -> str:
    """The JSON type of a Python value."""
    if value is None:
        return "null"
    if isinstance(value, float):
        return "integer" if value.is_integer() else "number"  # to JSON, 2.0 is an integer
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
