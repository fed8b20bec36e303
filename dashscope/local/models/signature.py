"""Derives a model's schema from a function's signature, and validates inputs against it."""

import inspect
import json
import re
import types
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from pathlib import Path
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from attrs import frozen
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PydanticUserError,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import ErrorDetails

from dashscope.local.decorator import is_weights, spec_of, unannotated

_REFERENCE: Final = "#/components/schemas/{model}"
_ITERATORS: Final = frozenset({Iterator, Iterable, Generator, AsyncIterator, AsyncGenerator})


class SignatureError(Exception):
    """A function cannot be used as a model. The message says why."""


class InputError(Exception):
    """An input is invalid. The message says what is wrong.

    ``fields`` has one message for each invalid input.
    """

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


def _check_url(value: str) -> str:
    if not re.match(r"(?i)(https?://[^/]|data:)", value):
        raise ValueError("a file must be an http, https or data URL")
    return value


FileURL = Annotated[
    str, AfterValidator(_check_url), WithJsonSchema({"type": "string", "format": "uri"})
]


class Signature:
    """The inputs and the output of a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = getattr(function, "__name__", "the model")
        try:
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError) as error:
            raise SignatureError(f"The types of {self.name} cannot be read: {error}") from error
        self.description, descriptions = read_docstring(inspect.getdoc(function) or "")
        fields: dict[str, Any] = {}
        for order, parameter in enumerate(inspect.signature(function).parameters.values()):
            hint = hints.get(parameter.name, Any)
            if is_weights(hint):
                continue
            if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
                raise SignatureError(
                    f"{self.name} has the parameter {parameter}, which is not supported. Inputs "
                    f"must be named parameters."
                )
            required = parameter.default is parameter.empty
            text = descriptions.get(parameter.name)
            said: dict[str, Any] = {"description": text} if text else {}
            # Use own field names with an alias, because pydantic reserves names such as `schema`.
            fields[f"input_{order}"] = (
                Annotated[
                    with_file_urls(hint),
                    Field(alias=parameter.name, json_schema_extra={"x-order": order}, **said),
                ],
                ... if required else parameter.default,
            )
        self.streams = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        self._returns = hints.get("return", Any)
        spec = spec_of(function)
        self._concatenate = spec.concatenate if spec else None
        try:
            self._inputs: type[BaseModel] = create_model(
                "Input", __config__=ConfigDict(extra="ignore", strict=True), **fields
            )
            self.input_schema, self.definitions = self._schema_of_inputs()
            self.output_schema = self._schema_of_output()
        except (PydanticUserError, TypeError) as error:
            raise SignatureError(f"The types of {self.name} have no schema: {error}") from error

    @property
    def names(self) -> list[str]:
        """The names of the inputs."""
        return [field.alias or "" for field in self._inputs.model_fields.values()]

    def check(self, inputs_json: bytes | str) -> dict[str, Any]:
        """Validate an input, and return it with the defaults filled in.

        Unknown names are ignored, like the hosted service does. See ``unknown``.

        Raises:
            InputError: The input is invalid.
        """
        try:
            inputs = self._validate(inputs_json)
        except ValidationError as error:
            raise InputError(explain(error, "input"), by_field(error)) from error
        return inputs.model_dump(mode="json", by_alias=True, warnings=False)

    def unknown(self, inputs: Iterable[str]) -> list[str]:
        """Return the names in an input that are not inputs of this model."""
        names = set(self.names)
        return [name for name in inputs if name not in names]

    def explain_unknown(self, name: str) -> str:
        """Return the message about an unknown name in an input."""
        known = ", ".join(self.names) or "none"
        return f"input.{name[:200]} is not an input of this model. Its inputs: {known}."

    def _validate(self, inputs_json: bytes | str) -> BaseModel:
        try:
            return self._inputs.model_validate_json(inputs_json)
        except ValidationError as error:
            # JSON does not distinguish 7.0 from 7, but strict validation does.
            inputs: Any = json.loads(inputs_json)
            if not _convert_whole_floats(inputs, error):
                raise
            return self._inputs.model_validate_json(json.dumps(inputs))

    def _schema_of_inputs(self) -> tuple[dict[str, Any], dict[str, Any]]:
        schema = self._inputs.model_json_schema(
            ref_template=_REFERENCE, schema_generator=InputSchema, mode="validation"
        )
        definitions: dict[str, Any] = schema.pop("$defs", {})
        for name, field in schema.get("properties", {}).items():
            field["title"] = name.replace("_", " ").capitalize()
        return schema, definitions

    def _schema_of_output(self) -> dict[str, Any]:
        returns = self._returns
        if self.streams:
            of = get_args(returns)
            item = of[0] if get_origin(returns) in _ITERATORS and of else Any
            schema = {
                "type": "array",
                "items": self._output_of(item),
                "title": "Output",
                "x-cog-array-type": "iterator",
            }
            if unannotated(item) is str if self._concatenate is None else self._concatenate:
                schema["x-cog-array-display"] = "concatenate"
            return schema
        return {**self._output_of(returns), "title": "Output"}

    def _output_of(self, returns: Any) -> dict[str, Any]:
        if getattr(returns, "__module__", "").startswith("PIL."):
            returns = Path
        try:
            adapter = TypeAdapter[Any](with_file_urls(returns))
            schema = adapter.json_schema(
                ref_template=_REFERENCE, schema_generator=InputSchema, mode="serialization"
            )
        except PydanticUserError:
            # Only the worker can encode this type, so the schema allows any value.
            return {}
        self.definitions.update(schema.pop("$defs", {}))
        return schema


class InputSchema(GenerateJsonSchema):
    """Generates schemas like those of the hosted service."""

    def encode_default(self, dft: Any) -> Any:
        """Encode a default. A path is encoded as a string."""
        return str(dft) if isinstance(dft, Path) else super().encode_default(dft)


def with_file_urls(hint: Any) -> Any:
    """Return the API's type for a type of the function: every path becomes a URL."""
    if hint is Path:
        return FileURL
    origin, of = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[with_file_urls(of[0]), *of[1:]]
    if origin in {Union, types.UnionType}:
        members: tuple[Any, ...] = tuple(with_file_urls(item) for item in of)
        return Union[members]  # noqa: UP007
    if origin in {list, dict} and of:
        return types.GenericAlias(origin, tuple(with_file_urls(item) for item in of))
    return hint


def read_docstring(text: str) -> tuple[str | None, dict[str, str]]:
    """Return the first paragraph of a docstring, and the descriptions in its ``Args`` section."""
    head, _, _ = text.partition("\n\n")
    described: dict[str, str] = {}
    section = re.search(r"^Args:\n((?:[ \t]+.*\n?|\n)+)", text, re.MULTILINE)
    if section:
        for name, body in re.findall(
            r"^ {4}(\w+)(?: \([^)]*\))?: (.*(?:\n {8,}.*)*)", section[1], re.MULTILINE
        ):
            described[name] = " ".join(body.split())
    return " ".join(head.split()) or None, described


def _convert_whole_floats(inputs: Any, error: ValidationError) -> bool:
    """Convert rejected values that are whole floats to integers. Return whether there were any."""
    converted = False
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        container: Any = inputs
        for step in found["loc"]:
            try:
                value: Any = container[step]
            except (KeyError, IndexError, TypeError):
                # This step names a member of a union.
                continue
            if isinstance(value, float) and value.is_integer():
                container[step] = int(value)
                converted = True
                break
            container = value
    return converted


def explain(error: ValidationError, what: str) -> str:
    """Describe a validation error in one sentence per invalid member."""
    sentences: list[str] = []
    for found in error.errors(include_url=False, include_input=False):
        place = ".".join([what, *(str(part) for part in found["loc"])])
        match found["type"]:
            case "missing":
                sentences.append(f"{place} is required.")
            case _:
                message = found["msg"].removeprefix("Value error, ")
                sentences.append(f"{place}: {message[:1].lower()}{message[1:]}.")
    return " ".join(sentences)


def by_field(error: ValidationError) -> dict[str, str]:
    """Describe a validation error with one message per invalid input, in words."""
    sentences: dict[str, str] = {}
    for found in error.errors(include_url=False, include_input=False):
        first, *inside = [str(part) for part in found["loc"]]
        place = f"{'.'.join(inside)}: " if inside else ""
        sentence = f"{place}{_in_words(found)}."
        earlier = f"{sentences[first]} " if first in sentences else ""
        sentences[first] = f"{earlier}{sentence[:1].upper()}{sentence[1:]}"
    return sentences


def _in_words(found: ErrorDetails) -> str:
    template = _WORDS.get(found["type"])
    if template is None:
        return found["msg"].removeprefix("Value error, ")
    return template.format(**found.get("ctx", {}))


_WORDS: Final = {
    "missing": "required",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


@frozen
class Signatures:
    """The signatures of a model: of the function, and of its training if it has one."""

    prediction: Signature
    training: Signature | None

    @classmethod
    def of(cls, function: Callable[..., Any]) -> "Signatures":
        """Read the signatures of a function.

        Raises:
            SignatureError: The function cannot be used as a model.
        """
        spec = spec_of(function)
        train = spec.train if spec is not None else None
        return cls(Signature(function), Signature(train) if train is not None else None)

    def openapi_schema(self, title: str) -> dict[str, Any]:
        """Return the ``openapi_schema`` of a version."""
        schemas: dict[str, Any] = {
            **self.prediction.definitions,
            "Input": self.prediction.input_schema,
            "Output": self.prediction.output_schema,
        }
        paths: dict[str, Any] = {"/predictions": _operation("Input", "Output")}
        if self.training is not None:
            inputs = {**self.training.input_schema, "title": "TrainingInput"}
            schemas |= {**self.training.definitions, "TrainingInput": inputs}
            schemas["TrainingOutput"] = {
                "type": "object",
                "title": "TrainingOutput",
                "required": ["version"],
                "properties": {"version": {"type": "string", "title": "Version"}},
            }
            paths["/trainings"] = _operation("TrainingInput", "TrainingOutput")
        return {
            "openapi": "3.1.0",
            "info": {"title": title, "version": "1"},
            "paths": paths,
            "components": {"schemas": schemas},
        }


def _operation(taken: str, given: str) -> Mapping[str, Any]:
    def content(name: str, part: str) -> dict[str, Any]:
        schema = {
            "type": "object",
            "properties": {part: {"$ref": f"#/components/schemas/{name}"}},
        }
        return {"content": {"application/json": {"schema": schema}}}

    return {
        "post": {
            "requestBody": content(taken, "input"),
            "responses": {"200": {"description": "The result", **content(given, "output")}},
        }
    }
