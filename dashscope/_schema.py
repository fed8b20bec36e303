"""What a version's schema says of a model's inputs, and whether an input fits it.

Pure: the schema comes from the server and may be anything. Only what a schema says in the words
read here is held against an input; the rest is left to the server, so that nothing is refused
which it would take. (A validator of JSON Schema could not do it: a path or an open file stands
where the schema wants a URL, and messages are to name the inputs as the caller did.)
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, TypeAlias

from attrs import field, frozen

from dashscope._inputs import is_file
from dashscope._json import is_array, is_mapping, is_object, is_sequence

Schema: TypeAlias = Mapping[str, Any]

DEEPEST: Final = 16
"""References and alternatives to follow: a schema may refer to itself."""

_ARTICLES: Final = {
    "boolean": "a boolean",
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "array": "a list",
    "object": "a mapping",
    "null": "None",
}
# One letter is a drive, not a scheme.
_URI: Final = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)


class MisfitError(Exception):
    """A value that does not fit its schema; the argument is the error to raise for it."""

    def __init__(self, error: TypeError | ValueError) -> None:
        super().__init__(error)
        self.error = error


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
        schema = self.component("Input")
        properties = schema.get("properties")
        if not is_object(properties):
            return ()
        required = schema.get("required")
        wanted: list[Any] = required if is_array(required) else []
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

    def check(self, model: str, inputs: Mapping[str, Any]) -> None:
        """Refuse what the model does not take.

        Args:
            model: what the messages call it.
            inputs: the inputs as the caller wrote them, files included.

        Raises:
            TypeError: for an input that it does not have, one that is missing, or a value of
                another type.
            ValueError: for a value out of bounds.
        """
        if not self.is_known:
            return
        known = {entry.name: entry for entry in self.inputs}
        if not self.component("Input").get("additionalProperties"):
            for name in inputs:
                if name not in known:
                    raise TypeError(_unknown(model, name, list(known)))
        for entry in self.inputs:
            if entry.name in inputs:
                self._check_input(model, entry, inputs[entry.name])
        missing = [entry for entry in self.inputs if entry.required and entry.name not in inputs]
        if missing:
            raise TypeError(f"{model} needs {', '.join(map(_with_description, missing))}")

    def _check_input(self, model: str, entry: Input, value: Any) -> None:
        if value is None and entry.may_be_none:
            return
        try:
            self._check(value, entry.schema, entry.name, 0)
        except MisfitError as misfit:
            raise type(misfit.error)(f"{model}: {misfit.error}") from None

    def _check(self, value: Any, schema: Any, where: str, depth: int) -> None:
        schema = self.resolved(schema)
        if depth > DEEPEST or (value is None and schema.get("nullable") is True):
            return
        for part in _list(schema, "allOf"):
            self._check(value, part, where, depth + 1)
        for key in ("anyOf", "oneOf"):
            if choices := _list(schema, key):
                self._check_any(value, choices, where, depth + 1)
        kinds = _own_kinds(schema)
        if is_file(value):
            if kinds and "string" not in kinds:
                raise MisfitError(TypeError(f"{where} is {_either(kinds)}, not a file"))
            return
        kind = kind_of(value)
        if kinds and not _fits(kind, kinds):
            if schema.get("format") == "uri":
                kinds = ["a URL or a file" if named == "string" else named for named in kinds]
            raise MisfitError(TypeError(f"{where} is {_either(kinds)}, not {_shown(value)}"))
        choices = [*_list(schema, "enum"), *([schema["const"]] if "const" in schema else [])]
        if choices and not any(_same(value, choice) for choice in choices):
            raise MisfitError(ValueError(f"{where} is {_one_of(choices)}, not {_shown(value)}"))
        self._check_bounds(value, kind, schema, where)
        if is_sequence(value):
            for index, item in enumerate(value):
                self._check(item, schema.get("items"), f"{where}[{index}]", depth + 1)
        elif is_mapping(value):
            self._check_properties(value, schema, where, depth)

    def _check_any(self, value: Any, choices: list[Any], where: str, depth: int) -> None:
        misfits: list[MisfitError] = []
        for choice in choices:
            try:
                self._check(value, choice, where, depth)
            except MisfitError as misfit:
                misfits.append(misfit)
            else:
                return
        # Of the right type and out of bounds says more than of the wrong type.
        for failed in misfits:
            if isinstance(failed.error, ValueError):
                raise failed
        kinds = [kind for choice in choices for kind in self.kinds(choice)]
        given = "a file" if is_file(value) else _shown(value)
        raise MisfitError(TypeError(f"{where} is {_either(kinds)}, not {given}"))

    def _check_bounds(self, value: Any, kind: str, schema: Schema, where: str) -> None:
        limits = bounds(schema)
        if kind in ("integer", "number"):
            if limits is not None and not limits.holds(value):
                raise MisfitError(ValueError(f"{where} is {limits}, not {_shown(value)}"))
        elif kind == "string":
            if _length(schema, "minLength", "maxLength", len(value)):
                text = lengths(schema, "Length", "character")
                raise MisfitError(ValueError(f"{where} has {text}, not {len(value)}"))
            if schema.get("format") == "uri" and not _URI.match(value):
                raise MisfitError(
                    ValueError(
                        f"{where} is a URL or a file, not {_shown(value)}: "
                        "for a file on this machine, pass a pathlib.Path"
                    )
                )
        elif kind == "array" and _length(schema, "minItems", "maxItems", len(value)):
            raise MisfitError(
                ValueError(f"{where} has {lengths(schema, 'Items', 'item')}, not {len(value)}")
            )

    def _check_properties(
        self, value: Mapping[Any, Any], schema: Schema, where: str, depth: int
    ) -> None:
        for name in _list(schema, "required"):
            if isinstance(name, str) and name not in value:
                raise MisfitError(TypeError(f"{where} needs {name!r}"))
        properties = schema.get("properties")
        if is_object(properties):
            for name, part in properties.items():
                if name in value:
                    self._check(value[name], part, f"{where}[{name!r}]", depth + 1)

    def kinds(self, schema: Any, depth: int = 0) -> list[str]:
        """The JSON types that a schema lets through; none where it does not say."""
        schema = self.resolved(schema)
        if depth > DEEPEST:
            return []
        found = _own_kinds(schema)
        for key in ("anyOf", "oneOf"):
            for choice in _list(schema, key):
                found += self.kinds(choice, depth + 1)
        if not found:
            found = [kind_of(choice) for choice in _list(schema, "enum")]
        return list(dict.fromkeys(found))


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
    found = Bounds(least, most, over, under)
    return None if found == Bounds(None, None, None, None) else found


def lengths(schema: Schema, what: str, unit: str) -> str | None:
    """The bounds of a length in words, `what` being `Length` or `Items`."""
    least, most = _number(schema, f"min{what}"), _number(schema, f"max{what}")
    if least is None and most is None:
        return None
    return f"{Bounds(least, most, None, None)} {unit}s"


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


def _own_kinds(schema: Schema) -> list[str]:
    named = schema.get("type")
    if isinstance(named, str):
        return [named]
    return [kind for kind in named if isinstance(kind, str)] if is_array(named) else []


def _fits(kind: str, kinds: list[str]) -> bool:
    if kind == "integer" and "number" in kinds:
        return True
    # What is no JSON is refused with all else that is not; a type not known here, by the server.
    return kind in kinds or kind == "unknown" or any(named not in _ARTICLES for named in kinds)


def _same(value: Any, choice: Any) -> bool:
    ours, theirs = kind_of(value), kind_of(choice)
    numbers = {"integer", "number"}
    return (ours == theirs or {ours, theirs} <= numbers) and value == choice


def _length(schema: Schema, least: str, most: str, size: int) -> bool:
    return not Bounds(_number(schema, least), _number(schema, most), None, None).holds(size)


def _list(schema: Schema, key: str) -> list[Any]:
    value = schema.get(key)
    return value if is_array(value) else []


def _number(schema: Schema, key: str) -> float | None:
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _unknown(model: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f": did you mean {close[0]!r}?" if close else "."
    return f"{model} has no input {name!r}{hint} It takes {', '.join(known) or 'none'}."


def _with_description(entry: Input) -> str:
    return f"{entry.name!r} ({entry.description})" if entry.description else repr(entry.name)


def _either(kinds: list[str]) -> str:
    return " or ".join(_ARTICLES.get(kind, kind) for kind in dict.fromkeys(kinds))


def _one_of(choices: list[Any]) -> str:
    shown = [repr(choice) for choice in choices]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
