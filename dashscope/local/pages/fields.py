"""Converts a model's schema to form fields, in the order of the function's parameters."""

import json
import math
from typing import Any, Final, Literal

from attrs import frozen

from dashscope.local.type_guards import is_dict, is_list

Schema = dict[str, Any]
Kind = Literal[
    "text", "secret", "date", "integer", "number", "flag", "choice", "file", "files", "list", "json"
]

_REFERENCE: Final = "#/components/schemas/"
_PLAIN: Final[dict[str, Kind]] = {"string": "text", "integer": "integer", "number": "number"}
_FORMATS: Final[dict[str, Kind]] = {"uri": "file", "date": "date", "password": "secret"}


@frozen(kw_only=True)
class Field:
    """One input of a model as a form field."""

    name: str
    label: str
    kind: Kind
    description: str | None
    required: bool
    nullable: bool
    default: Any
    choices: tuple[Any, ...]
    schema: Schema
    item: str = ""
    """The type of the items of a list: string, integer or number."""

    @property
    def minimum(self) -> float | None:
        """The minimum that the browser can check, or None."""
        return self._bound("minimum", "exclusiveMinimum", 1)

    @property
    def maximum(self) -> float | None:
        """The maximum that the browser can check, or None."""
        return self._bound("maximum", "exclusiveMaximum", -1)

    def _bound(self, name: str, exclusive: str, step: int) -> float | None:
        if self.kind == "integer" and isinstance(bound := self.schema.get(exclusive), int):
            return bound + step
        return self.schema.get(name)

    @property
    def step(self) -> float | None:
        """The step of the slider, or None if the values have no bounds or too many values."""
        low, high = self.minimum, self.maximum
        if low is None or high is None or not low < high:
            return None
        if self.kind == "integer":
            return 1 if high - low <= SLIDER_STEPS else None
        if self.kind == "number" and math.isfinite(high - low):
            return float(f"1e{math.floor(math.log10((high - low) / 100))}")
        return None

    @property
    def is_seed(self) -> bool:
        """Whether the field is the seed of a random generator."""
        return self.kind == "integer" and self.name.lower().rpartition("_")[2] == "seed"

    @property
    def has_segments(self) -> bool:
        """Whether the choices are few and short enough to show all of them."""
        labels = [_label(choice) for choice in self.choices]
        return len(labels) <= MAX_SEGMENTS and sum(map(len, labels)) <= SEGMENTS_LENGTH

    @property
    def type_name(self) -> str:
        """The type of the values in words."""
        match self.kind:
            case "choice":
                return f"one of {', '.join(map(_label, self.choices))}"
            case "files":
                return "list of files"
            case "list":
                return f"list of {_TYPE_NAMES.get(self.item, self.item)}s"
            case _:
                return describe_type(self.schema)

    @property
    def hint(self) -> str:
        """A description of the valid values."""
        schema = self.schema
        said = [
            f"{words} {schema[key]}"
            for key, words in (
                ("minimum", "at least"),
                ("exclusiveMinimum", "more than"),
                ("maximum", "at most"),
                ("exclusiveMaximum", "less than"),
                ("multipleOf", "a multiple of"),
                ("minLength", "at least this many characters:"),
                ("maxLength", "at most this many characters:"),
                ("minItems", "at least this many:"),
                ("maxItems", "at most this many:"),
                ("pattern", "must match"),
            )
            if key in schema
        ]
        match self.kind:
            case "integer":
                said.insert(0, "a whole number")
            case "number":
                said.insert(0, "a number")
            case "json" | "list":
                said.insert(0, f"JSON{_JSON_EXAMPLES.get(str(schema.get('type')), '')}")
            case _:
                pass
        text = ", ".join(said)
        return f"{text[:1].upper()}{text[1:]}." if text else ""


SLIDER_STEPS: Final = 10_000
"""Maximum number of values of a slider for whole numbers."""

MAX_SEGMENTS: Final = 5
SEGMENTS_LENGTH: Final = 32
"""Maximum characters of all choices that are shown side by side."""

_TYPE_NAMES: Final = {
    "string": "string",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
    "object": "object",
    "array": "list",
    "null": "null",
}
_FORMAT_NAMES: Final = {"uri": "file", "date": "date", "date-time": "time", "password": "secret"}


def _label(choice: Any) -> str:
    return choice if isinstance(choice, str) else json.dumps(choice)


def describe_type(schema: Schema) -> str:
    """Return the type of a resolved schema in words."""
    of = schema.get("type")
    if of == "string":
        return _FORMAT_NAMES.get(schema.get("format", ""), "string")
    if of == "array" and is_dict(items := schema.get("items")):
        return f"list of {describe_type(items)}s"
    return _TYPE_NAMES.get(of, "any JSON") if isinstance(of, str) else "any JSON"


_JSON_EXAMPLES: Final = {"array": ": a list like [1, 2]", "object": ': an object like {"a": 1}'}


def read_fields(openapi_schema: Schema, name: str) -> list[Field]:
    """Return the fields of the schema's ``Input`` or ``TrainingInput``."""
    definitions: Schema = openapi_schema["components"]["schemas"]
    inputs: Schema = definitions[name]
    required: list[str] = inputs.get("required", [])
    members: dict[str, Schema] = inputs.get("properties", {})
    ordered = sorted(members.items(), key=lambda member: member[1].get("x-order", 0))
    return [_field(name, schema, name in required, definitions) for name, schema in ordered]


def _field(name: str, said: Schema, required: bool, definitions: Schema) -> Field:
    schema, nullable = resolve(said, definitions)
    choices = _choices(schema)
    kind: Kind = "json"
    item_type = ""
    of = schema.get("type")
    if choices:
        kind = "choice"
    elif of == "boolean":
        kind = "choice" if nullable or required else "flag"
        choices = (True, False) if kind == "choice" else ()
    elif of == "string":
        kind = _FORMATS.get(schema.get("format", ""), "text")
        kind = "secret" if schema.get("writeOnly") else kind
    elif isinstance(of, str) and of in _PLAIN:
        kind = _PLAIN[of]
    elif of == "array" and is_dict(items := schema.get("items")):
        item, _ = resolve(items, definitions)
        if (item.get("type"), item.get("format")) == ("string", "uri"):
            kind = "files"
        elif item.get("type") in _PLAIN and "enum" not in item:
            kind, item_type = "list", str(item["type"])
    return Field(
        item=item_type,
        name=name,
        label=str(said.get("title") or name),
        kind=kind,
        description=said.get("description"),
        required=required,
        nullable=nullable,
        default=said.get("default"),
        choices=choices,
        schema=schema,
    )


def resolve(schema: Schema, definitions: Schema) -> tuple[Schema, bool]:
    """Return a schema without references, and whether it also allows null.

    A schema with several alternatives is returned unchanged. Its value is entered as JSON.
    """
    if isinstance(reference := schema.get("$ref"), str):
        meant, nullable = resolve(definitions[reference.removeprefix(_REFERENCE)], definitions)
        return {**schema, **meant}, nullable
    for combined in ("allOf", "anyOf", "oneOf"):
        if is_list(forms := schema.get(combined)):
            others = [form for form in forms if form != {"type": "null"}]
            if len(others) == 1:
                meant, _ = resolve(others[0], definitions)
                return {**schema, **meant}, len(others) < len(forms)
            return schema, len(others) < len(forms)
    return schema, False


def _choices(schema: Schema) -> tuple[Any, ...]:
    if "const" in schema:
        return (schema["const"],)
    return tuple(schema.get("enum", ()))
