"""Checking inputs against a schema never rejects an input that the server would accept."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dashscope._functions.check import check
from dashscope._functions.schema import ModelSchema
from tests.variants import variants


def schema(properties: Any, *required: str, **more: Any) -> ModelSchema:
    described = {"type": "object", "properties": properties, "required": list(required)}
    return ModelSchema(document={"components": {"schemas": {"Input": described, **more}}})


ENUM = {"enum": ["ddim", "euler"], "type": "string", "title": "scheduler"}
COG = schema(
    {
        "prompt": {"type": "string", "x-order": 0, "maxLength": 10},
        "image": {"type": "string", "format": "uri", "x-order": 1},
        "steps": {"type": "integer", "minimum": 1, "maximum": 50, "default": 20, "x-order": 2},
        "scale": {"type": "number", "exclusiveMinimum": 0, "x-order": 3},
        "seed": {"type": "integer", "x-order": 4},
        "scheduler": {
            "allOf": [{"$ref": "#/components/schemas/scheduler"}],
            "default": "euler",
            "x-order": 5,
        },
        "mask": {"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}], "x-order": 6},
        "sizes": {"type": "array", "items": {"type": "integer", "maximum": 9}, "maxItems": 2},
        "turbo": {"type": "boolean", "default": False},
        "old": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "nullable": True},
    },
    "prompt",
    scheduler=ENUM,
)


def test_inputs_have_the_order_of_the_model() -> None:
    names = [entry.name for entry in COG.inputs]
    assert names[:7] == ["prompt", "image", "steps", "scale", "seed", "scheduler", "mask"]


@variants(
    "inputs",
    [
        {},
        {"image": "https://example.com/a.png"},
        {"image": "data:,a"},
        {"image": Path("a.png")},
        {"image": b"content"},
        {"image": io.BytesIO(b"content")},
        {"prompt": io.BytesIO(b"content")},  # the server decides about it
        {"steps": 1},
        {"steps": 2.0},
        {"scale": 1},
        {"seed": None},  # as in the schemas of older models
        {"mask": None},
        {"scheduler": "ddim"},
        {"sizes": [1, 9]},
        {"sizes": (1, 9)},
        {"old": None},
        {"old": 1},
        {"steps": 1j},  # not JSON: rejected elsewhere
    ],
)
def test_valid_inputs_are_accepted(inputs: dict[str, Any]) -> None:
    check(COG, "owner/name", {"prompt": "a", **inputs})


@variants(
    ("inputs", "error", "text"),
    [
        (
            {"promt": "a"},
            TypeError,
            "has no input 'promt'. Did you mean 'prompt'? Its inputs: prompt,",
        ),
        ({"xyz": "a"}, TypeError, "has no input 'xyz'. Its inputs: prompt,"),
        ({"prompt": 1}, TypeError, "prompt must be a string, not 1"),
        ({"prompt": None}, TypeError, "prompt must be a string, not None"),
        ({"prompt": "a" * 11}, ValueError, "prompt must have at most 10 characters, not 11"),
        ({"image": "a.png"}, ValueError, "pass a pathlib.Path"),
        ({"image": "C:\\a.png"}, ValueError, "pass a pathlib.Path"),
        ({"image": 1}, TypeError, "image must be a URL or a file, not 1"),
        ({"steps": True}, TypeError, "steps must be an integer, not True"),
        ({"steps": "20"}, TypeError, "steps must be an integer, not '20'"),
        ({"steps": 2.5}, TypeError, "steps must be an integer, not 2.5"),
        ({"steps": None}, TypeError, "steps must be an integer, not None"),
        ({"steps": Path("a")}, TypeError, "steps must be an integer, not a file"),
        ({"steps": 51}, ValueError, "steps must be from 1 to 50, not 51"),
        ({"scale": 0}, ValueError, "scale must be more than 0, not 0"),
        ({"scheduler": "dpm"}, ValueError, "scheduler must be 'ddim' or 'euler', not 'dpm'"),
        ({"mask": 1}, TypeError, "mask must be a string or None, not 1"),
        ({"mask": "a.png"}, ValueError, "pass a pathlib.Path"),
        ({"sizes": 1}, TypeError, "sizes must be a list, not 1"),
        ({"sizes": ["1"]}, TypeError, "sizes[0] must be an integer, not '1'"),
        ({"sizes": [1, 10]}, ValueError, "sizes[1] must be at most 9, not 10"),
        ({"sizes": [1, 2, 3]}, ValueError, "sizes must have at most 2 items, not 3"),
        ({"turbo": 1}, TypeError, "turbo must be a boolean, not 1"),
        ({"turbo": "x" * 300}, TypeError, "xxx…"),
        ({"old": 0}, ValueError, "old must be more than 0, not 0"),
    ],
)
def test_invalid_inputs_are_reported(
    inputs: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as failure:
        check(COG, "owner/name", {"prompt": "a", **inputs})
    assert str(failure.value).startswith("owner/name")
    assert text in str(failure.value)
    assert len(str(failure.value)) < 300


def test_a_missing_input_is_named_with_its_description() -> None:
    model = schema({"a": {"description": "The\n first."}, "b": {}, "c": {}}, "a", "b")
    with pytest.raises(TypeError, match=r"owner/name requires 'a' \(The first.\), 'b'"):
        check(model, "owner/name", {"c": 1})


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"components": None},
        {"components": {"schemas": {"Input": None}}},
        {"components": {"schemas": {"Input": {"properties": []}}}},
        {"components": {"schemas": {"Input": {"$ref": "#/components/schemas/Input"}}}},
    ],
)
def test_without_a_schema_everything_is_accepted(document: dict[str, Any]) -> None:
    model = ModelSchema(document=document)
    assert not model.is_known
    check(model, "owner/name", {"anything": 1})


@variants(
    "entry",
    [
        {},
        True,
        None,
        [],
        {"type": 3},
        {"type": ["integer", 4]},
        {"type": "quaternion"},
        {"enum": "abc"},
        {"minimum": "a"},
        {"minLength": None},
        {"anyOf": [{}]},
        {"anyOf": {}},
        {"$ref": "#/nowhere"},
        {"$ref": "#/components/schemas/loop"},
        {"anyOf": [{"$ref": "#/components/schemas/tree"}]},
        {"pattern": "("},
    ],
)
def test_unusual_schemas_reject_nothing(entry: Any) -> None:
    loop = {"allOf": [{"$ref": "#/components/schemas/loop"}]}
    tree = {"anyOf": [{"$ref": "#/components/schemas/tree"}]}
    model = schema({"value": entry}, loop=loop, tree=tree)
    check(model, "owner/name", {"value": 1})


def test_additional_properties_are_accepted() -> None:
    described = {"properties": {"a": {}}, "additionalProperties": True}
    model = ModelSchema(document={"components": {"schemas": {"Input": described}}})
    check(model, "owner/name", {"b": 1})


KINDS = st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
SIMPLE = st.fixed_dictionaries(
    {},
    optional={
        "type": KINDS | st.lists(KINDS, min_size=1, max_size=2),
        "enum": st.lists(st.sampled_from(["a", "b", 1, 2.5, True, None]), min_size=1, max_size=3),
        "minimum": st.integers(-3, 3),
        "maximum": st.integers(-3, 3) | st.floats(-3, 3),
        "exclusiveMinimum": st.integers(-3, 3),
        "exclusiveMaximum": st.integers(-3, 3),
        "minLength": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "minItems": st.integers(0, 2),
        "maxItems": st.integers(0, 2),
        "required": st.lists(st.sampled_from(["x", "y"]), max_size=1),
    },
)
SCHEMAS = st.recursive(
    SIMPLE,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "items": inner,
            "properties": st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
            "anyOf": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    st.sampled_from(["", "a", "bbb", 0, 1, -5, 2.5, 2.0, True, False, None]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(SCHEMAS, VALUES)
def test_the_check_agrees_with_a_json_schema_validator(described: Any, value: Any) -> None:
    try:
        check(schema({"value": described}, "value"), "owner/name", {"value": value})
    except (TypeError, ValueError):
        taken = False
    else:
        taken = True
    assert taken == Draft202012Validator(described).is_valid(value)
