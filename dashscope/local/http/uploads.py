"""Parses the form of an upload: content, filename, type and metadata."""

import re
from http import HTTPStatus
from typing import Any, Final

from pydantic_core import from_json
from starlette.datastructures import FormData, UploadFile

from dashscope.local.http.problems import ProblemError
from dashscope.local.store.folder import FILE_LIMIT
from dashscope.local.type_guards import is_dict, is_list

DEFAULT_TYPE: Final = "application/octet-stream"
NAME_LIMIT: Final = 255
METADATA_LIMIT: Final = 256 * 1024
FORM_LIMIT: Final = FILE_LIMIT + 1024 * 1024
"""Maximum bytes of an upload request: the file, plus 1 MB for its other fields."""

_MEDIA_TYPE: Final = re.compile(
    r"[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}(?:;[ -~]{0,200})?", re.ASCII
)
_MEMBER: Final = re.compile(r"metadata((?:\[[^\[\]]{0,200}\]){1,16})")


def too_large() -> ProblemError:
    """Return the problem for a file over the size limit."""
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"A file can have at most {FILE_LIMIT // 1024 // 1024} MB.",
    )


def bad_request(detail: str) -> ProblemError:
    """Return the problem for an invalid form."""
    return ProblemError(HTTPStatus.BAD_REQUEST, detail)


def read_content(form: FormData) -> UploadFile | str:
    """Return the file's part, or its text if it was sent as a plain field."""
    content = form.get("content")
    if content is None:
        raise bad_request("The form has no part named content.")
    return content


async def read_field(form: FormData, name: str) -> str | None:
    """Return the text of a field, which may be sent as a field or as a small file."""
    value = form.get(name)
    if isinstance(value, UploadFile):
        try:
            return (await value.read(METADATA_LIMIT + 1)).decode()
        except UnicodeDecodeError as error:
            raise bad_request(f"{name} is not UTF-8.") from error
    return value


async def read_name(form: FormData, content: UploadFile | str) -> str:
    """Return the file name. The field ``filename`` takes precedence over the part's name."""
    given = content.filename if isinstance(content, UploadFile) else None
    name = await read_field(form, "filename") or given or "file"
    if len(name.encode(errors="replace")) > NAME_LIMIT:
        raise bad_request(f"The file name is longer than {NAME_LIMIT} bytes.")
    if not name.isprintable():
        raise bad_request("The file name contains characters that are not printable.")
    return name


async def read_type(form: FormData, content: UploadFile | str) -> str:
    """Return the media type. The field ``type`` takes precedence over the part's type."""
    given = content.content_type if isinstance(content, UploadFile) else None
    media_type = await read_field(form, "type") or given or DEFAULT_TYPE
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise bad_request(f"{media_type[:100]!r} is not a media type.")
    return media_type


async def read_metadata(form: FormData) -> dict[str, Any]:
    """Return the metadata: one JSON part, or one field per member such as ``metadata[a][b]``."""
    metadata: dict[str, Any] = {}
    text = await read_field(form, "metadata")
    if text is not None:
        if len(text) > METADATA_LIMIT:
            raise bad_request(f"The metadata is longer than {METADATA_LIMIT} characters.")
        try:
            value: Any = from_json(text, allow_inf_nan=False)
        except ValueError as error:
            raise bad_request(f"The metadata is not JSON: {error}.") from error
        if not is_dict(value):
            raise bad_request("The metadata must be a JSON object.")
        metadata = value
    for name, value in form.multi_items():
        if name.startswith("metadata[") and isinstance(value, str):
            if not (match := _MEMBER.fullmatch(name)):
                raise bad_request(f"{name[:100]!r} is not a valid metadata field.")
            place(metadata, re.findall(r"\[([^\[\]]*)\]", match[1]), value)
    return metadata


def place(target: dict[str, Any], path: list[str], value: str) -> None:
    """Set a value at a path of keys. An empty last key appends to a list."""
    for position, key in enumerate(path):
        last = position == len(path) - 1
        ends_in_list = path[position + 1 :] == [""]
        if last:
            target[key] = value
        elif ends_in_list:
            items: object = target.setdefault(key, [])
            if not is_list(items):
                raise bad_request("A metadata field is both a list and another type.")
            items.append(value)
            return
        else:
            inner: object = target.setdefault(key, {})
            if not is_dict(inner):
                raise bad_request("A metadata field is both an object and another type.")
            target = inner
