"""Parses submitted forms into inputs, and keeps the texts and problems to show them again."""

import json
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from attrs import Factory, frozen
from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile

from dashscope.local.http.problems import ProblemError
from dashscope.local.pages.fields import Field
from dashscope.local.type_guards import is_list

INPUT: Final = "input:"
UPLOAD: Final = "upload:"

StoreUpload = Callable[[UploadFile], Awaitable[str]]
"""Stores an uploaded file, and returns its URL."""


class _OmittedValue:
    """Marks an input that is omitted, so that the model's default applies."""


_OMITTED_VALUE: Final = _OmittedValue()


@frozen(kw_only=True)
class FormValues:
    """The texts of a form's fields, the problems found in them, and the parsed inputs."""

    texts: Mapping[str, str] = Factory(dict[str, str])
    problems: Mapping[str, str] = Factory(dict[str, str])
    inputs: Mapping[str, Any] = Factory(dict[str, Any])


def prefill(fields: list[Field], inputs: Mapping[str, Any]) -> FormValues:
    """Return form values for an input. Missing members are filled with the defaults."""
    return FormValues(
        texts={field.name: write(field, inputs.get(field.name, field.default)) for field in fields}
    )


def write(field: Field, value: Any) -> str:
    """Return the text that a field shows for a value."""
    if value is None:
        return ""
    match field.kind:
        case "choice" | "flag":
            return json.dumps(value)
        case "json" | "list":
            return json.dumps(value, indent=2, ensure_ascii=False)
        case "files" if is_list(value):
            return "\n".join(map(str, value))
        case _:
            return str(value)


async def read(form: FormData, fields: list[Field], keep: StoreUpload) -> FormValues:
    """Parse a form. Uploaded files are stored, and their URLs become the texts of their fields."""
    texts: dict[str, str] = {}
    problems: dict[str, str] = {}
    inputs: dict[str, Any] = {}
    for field in fields:
        sent = form.get(f"{INPUT}{field.name}", "")
        text = sent.replace("\r\n", "\n") if isinstance(sent, str) else ""
        if field.kind == "flag":
            text = json.dumps(bool(text))
        try:
            text = await _with_uploads(form, field, text, keep)
            value = _parse(field, text)
        except (ValueError, ProblemError) as error:
            problems[field.name] = str(error)
            value = _OMITTED_VALUE
        texts[field.name] = text
        if value is not _OMITTED_VALUE:
            inputs[field.name] = value
    return FormValues(texts=texts, problems=problems, inputs=inputs)


async def _with_uploads(form: FormData, field: Field, text: str, keep: StoreUpload) -> str:
    if field.kind not in {"file", "files"}:
        return text
    uploads = [
        upload
        for upload in form.getlist(f"{UPLOAD}{field.name}")
        # A browser sends an empty file field as a file without a name.
        if isinstance(upload, UploadFile) and upload.filename
    ]
    urls = [await keep(upload) for upload in uploads]
    if field.kind == "file":
        return urls[-1] if urls else text.strip()
    return "\n".join([*text.split(), *urls])


def _parse(field: Field, text: str) -> Any:
    """Parse the text of a field.

    Raises:
        ValueError: The text is not valid for the field.
    """
    if field.kind == "text":
        return text if text or _accepts_empty_text(field) else _empty_value(field)
    text = text.strip()
    if not text:
        return _empty_value(field)
    match field.kind:
        case "integer":
            return _integer(text)
        case "number":
            return _number(text)
        case "files":
            return text.split()
        case "choice" | "flag" | "json" | "list":
            return _json(text)
        case _:
            return text


def _accepts_empty_text(field: Field) -> bool:
    """Return whether an empty field means an empty string, because its default is not empty."""
    return not field.required and not field.nullable and bool(field.default)


def _empty_value(field: Field) -> Any:
    if field.nullable and field.default is not None:
        return None
    return _OMITTED_VALUE


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError("Enter a whole number.") from error


def _number(text: str) -> int | float:
    try:
        number = float(text)
    except ValueError as error:
        raise ValueError("Enter a number.") from error
    if not math.isfinite(number):
        raise ValueError("Enter a finite number.")
    return int(text) if text.lstrip("+-").isdigit() else number


def _json(text: str) -> Any:
    try:
        value: Any = from_json(text, allow_inf_nan=False)
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"Enter valid JSON ({error}). Put text in double quotes.") from error
    return value
