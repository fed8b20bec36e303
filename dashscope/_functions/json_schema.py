"""The inputs and the output of a model as JSON Schema, self-contained. Pure."""

from __future__ import annotations

from typing import Any, Final

from dashscope._common.json import is_array, is_object
from dashscope._functions.schema import Input, ModelSchema, Schema

_COMPONENTS: Final = "#/components/schemas/"
_OPENAPI_ONLY: Final = frozenset({"nullable", "x-order"})
_DESCRIPTION: Final = ("title", "description", "examples", "default")
_MAPS: Final = frozenset({"properties", "patternProperties"})
_LISTS: Final = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_SCHEMAS: Final = frozenset({"items", "additionalProperties", "not", "contains", "propertyNames"})


def inputs_schema(model: ModelSchema) -> dict[str, Any]:
    """Return the JSON Schema of a model's inputs, an object."""
    takes_more = not model.is_known or bool(model.component("Input").get("additionalProperties"))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {entry.name: input_schema(entry) for entry in model.inputs},
        "required": [entry.name for entry in model.inputs if entry.required],
        "additionalProperties": takes_more,
    }
    return _with_definitions(model, schema)


def output_schema(model: ModelSchema) -> dict[str, Any]:
    """Return the JSON Schema of a model's output. Empty if the model does not describe it."""
    return _with_definitions(model, _converted(model.output))


def input_schema(entry: Input) -> dict[str, Any]:
    """Return the JSON Schema of an input. It may refer to definitions of the model."""
    schema: dict[str, Any] = _converted(entry.schema)
    if entry.may_be_none:
        described: dict[str, Any] = {key: schema.pop(key) for key in _DESCRIPTION if key in schema}
        schema = {**_or_null(schema), **described, "default": None}
    return schema


def _with_definitions(model: ModelSchema, schema: dict[str, Any]) -> dict[str, Any]:
    """Add the components that a schema refers to, also indirectly, as its `$defs`."""
    found: dict[str, Any] = {}
    names = list(_references(schema))
    while names:
        name = names.pop()
        if name not in found:
            found[name] = _converted(model.component(name))
            names += _references(found[name])
    return {**schema, "$defs": found} if found else schema


def _references(schema: Any) -> list[str]:
    if is_array(schema):
        return [name for part in schema for name in _references(part)]
    if not is_object(schema):
        return []
    named = schema.get("$ref")
    own = [named.removeprefix("#/$defs/")] if isinstance(named, str) else []
    return [*own, *(name for part in schema.values() for name in _references(part))]


def _converted(schema: Any) -> Any:
    """Return a schema of OpenAPI as a new one of JSON Schema."""
    if not is_object(schema):
        return schema if isinstance(schema, bool) else {}
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref":
            if isinstance(value, str) and value.startswith(_COMPONENTS):
                made["$ref"] = f"#/$defs/{value.removeprefix(_COMPONENTS)}"
        elif key in _MAPS and is_object(value):
            made[key] = {name: _converted(part) for name, part in value.items()}
        elif key in _LISTS and is_array(value):
            made[key] = [_converted(part) for part in value]
        elif key in _SCHEMAS:
            made[key] = _converted(value)
        elif key not in _OPENAPI_ONLY:
            made[key] = _copied(value)
    _convert_bound(made, "minimum", "exclusiveMinimum")
    _convert_bound(made, "maximum", "exclusiveMaximum")
    return _or_null(made) if schema.get("nullable") is True else made


def _convert_bound(schema: dict[str, Any], bound: str, exclusive: str) -> None:
    # Up to OpenAPI 3.0, the exclusive bound is a flag.
    if isinstance(schema.get(exclusive), bool) and schema.pop(exclusive) and bound in schema:
        schema[exclusive] = schema.pop(bound)


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if not schema or {"type": "null"} in schema.get("anyOf", ()):
        return schema
    if set(schema) == {"anyOf"}:
        return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
    return {"anyOf": [schema, {"type": "null"}]}


def _copied(value: Any) -> Any:
    if is_object(value):
        return {name: _copied(part) for name, part in value.items()}
    return [_copied(part) for part in value] if is_array(value) else value


def refers(schema: Schema) -> bool:
    """Return whether a schema refers to a definition outside of it."""
    return bool(_references(schema))
