"""Files in a model's input: small files become data URIs, larger files are uploaded.

`encode()` converts the user's input to JSON, including values of NumPy, pandas, pydantic and other
libraries. It checks everything before sending anything: if a
file is missing, nothing is uploaded or created. Strings are never opened as paths.
"""

from __future__ import annotations

import base64
import math
import operator
import re
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterator,
    Mapping,
)
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any, Final, Literal, TypeAlias, cast

from attrs import frozen

from dashscope._common.json import is_mapping, is_sequence
from dashscope._common.plain import UNCHANGED, fields_of, plain
from dashscope._common.validation import check_choice, shown
from dashscope._errors import FileError
from dashscope._files.local_file import FileContent, LocalFile, check_name, is_file, load
from dashscope._runtime.runtime import Runtime
from dashscope.types._value import Serializable
from dashscope.types.batch import BatchResult
from dashscope.types.file import File
from dashscope.types.page import Page
from dashscope.types.prediction import Prediction
from dashscope.types.training import Training

LARGEST_DATA_URI: Final = 256 * 1024
"""The largest file, in bytes, that `auto` puts into the request itself."""
LARGEST_DATA_URIS: Final = 10 * 1000 * 1000
"""How many characters of data URIs the service accepts in one input."""
UPLOADS_AT_ONCE: Final = 4

_FILE_NAME: Final = re.compile(r"(?![a-z][a-z0-9+.-]+:)\S+\.[a-z][a-z0-9]{0,4}", re.IGNORECASE)
"""Text that looks like a path and not like a URL."""

FileEncoding: TypeAlias = Literal["auto", "upload", "data-uri"]


Upload: TypeAlias = Callable[[LocalFile], Awaitable[str]]


def as_mapping(input: Any) -> Mapping[str, Any]:
    """Return a model's input as a mapping.

    Args:
        input: A mapping, a pydantic model, a dataclass, an attrs object, a named tuple, or a row of
            pandas.

    Raises:
        TypeError: If the input has no fields with names, or is a value of this package.
    """
    if isinstance(input, Mapping) and not isinstance(input, Serializable):
        return cast("Mapping[str, Any]", input)
    if not isinstance(input, Serializable):
        found = fields_of(input)
        if isinstance(found, Mapping):
            return cast("Mapping[str, Any]", found)
    raise TypeError(
        "input must be a mapping of the model's inputs, such as {'prompt': '...'}, "
        f"not {shown(input)}{_advice(input)}"
    )


def settled(input: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an input that can be read several times: iterators in it are read into lists."""
    try:
        found: Mapping[str, Any] = _settled(input)
    except RecursionError:  # `encode()` says what is wrong
        return input
    return found


def _settled(value: Any) -> Any:
    found: Any = value  # `isinstance()` would make it partially unknown to type checkers
    if isinstance(value, Iterator) and not is_file(value):
        return [_settled(item) for item in found]
    if is_mapping(value):
        items = {name: _settled(item) for name, item in value.items()}
        return items if any(items[name] is not item for name, item in value.items()) else value
    if isinstance(value, list | tuple):
        several = [_settled(item) for item in found]
        return several if any(map(operator.is_not, several, found)) else found
    return value


def check_encoding(file_encoding: str) -> None:
    """Raise if `file_encoding` is unknown."""
    check_choice("file_encoding", file_encoding, ("auto", "upload", "data-uri"))


async def encode(
    input: Mapping[str, Any], runtime: Runtime, upload: Upload, file_encoding: FileEncoding = "auto"
) -> dict[str, Any]:
    """Return the input as JSON, with its files as URLs.

    Raises:
        FileError: If a file cannot be read or sent.
        TypeError: If a value has no JSON form.
        ValueError: If a number is not finite, or a structure contains itself.
    """
    input = as_mapping(input)
    check_encoding(file_encoding)
    files: list[_Pending] = []
    try:
        tree = cast("dict[str, Any]", _walk(input, files, "input", frozenset()))
    except RecursionError:
        raise ValueError("input is nested too deeply to encode as JSON") from None
    loaded: list[LocalFile] = []
    try:
        # A file that occurs several times is read and sent once.
        places: dict[int, list[_Pending]] = {}
        for pending in files:
            places.setdefault(id(pending.content), []).append(pending)
        for same in places.values():
            loaded.append(await load(same[0].content, runtime))  # noqa: PERF401 (on an error, those loaded so far are closed)
        await _send(list(places.values()), loaded, runtime, upload, file_encoding)
    finally:
        for file in loaded:
            file.close()
    return tree


def path_hint(input: Mapping[str, Any], detail: str) -> str | None:
    """Return a sentence about a text in `input` that looks like a local file, or `None`.

    Args:
        input: The input that was sent.
        detail: The server's reason for refusing it. Only inputs that the reason mentions count.
    """
    for name, value in input.items():
        if (
            isinstance(value, str)
            and _FILE_NAME.fullmatch(value)
            and re.search(rf"\b{re.escape(name)}\b", detail)
        ):
            return f"{name} was the text {shown(value)}. To send a local file, pass a pathlib.Path."
    return None


async def _send(
    places: list[list[_Pending]],
    loaded: list[LocalFile],
    runtime: Runtime,
    upload: Upload,
    file_encoding: FileEncoding,
) -> None:
    """Put the URL of each file into its places."""
    inline = [
        file_encoding == "data-uri" or (file_encoding == "auto" and file.size <= LARGEST_DATA_URI)
        for file in loaded
    ]
    total = sum(
        len(same) * _uri_length(file)
        for same, file, direct in zip(places, loaded, inline, strict=True)
        if direct
    )
    if total > LARGEST_DATA_URIS:
        raise FileError(
            f"The files of this input need {total} characters of data URIs. The service accepts "
            f"{LARGEST_DATA_URIS}. Use file_encoding='auto' or 'upload'."
        )
    for file, direct in zip(loaded, inline, strict=True):
        if not direct:
            check_name(file.filename)
    uploads: list[Callable[[], Coroutine[Any, Any, None]]] = []
    for same, file, direct in zip(places, loaded, inline, strict=True):
        if direct:
            _put(same, await runtime.in_thread(_data_uri, file))
        else:
            uploads.append(partial(_place_upload, same, file, upload))
    await runtime.gather(uploads, limit=UPLOADS_AT_ONCE)


async def _place_upload(places: list[_Pending], file: LocalFile, upload: Upload) -> None:
    _put(places, await upload(file))


def _put(places: list[_Pending], url: str) -> None:
    for pending in places:
        pending.place[pending.key] = url


def _uri_length(file: LocalFile) -> int:
    return len(f"data:{file.content_type};base64,") + (file.size + 2) // 3 * 4


def _data_uri(file: LocalFile) -> str:
    return f"data:{file.content_type};base64,{base64.b64encode(file.read()).decode()}"


@frozen
class _Pending:
    """A file, and the place in the JSON where its URL goes."""

    content: FileContent
    place: Any
    key: Any


def _walk(value: Any, files: list[_Pending], where: str, above: frozenset[int]) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return _scalar(value, where)
    if id(value) in above:
        raise ValueError(f"{where} contains itself")
    inside = above | {id(value)}
    if is_mapping(value) and not isinstance(value, Serializable):
        made: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {shown(key)}, but JSON keys must be str")
            made[key] = _place(item, files, f"{where}[{key!r}]", inside, made, key)
        return made
    if is_sequence(value) and not isinstance(value, Serializable):
        row: list[Any] = [None] * len(value)
        for index, item in enumerate(value):
            row[index] = _place(item, files, f"{where}[{index}]", inside, row, index)
        return row
    if not isinstance(value, Serializable) and (found := plain(value)) is not UNCHANGED:
        return _walk(found, files, where, inside)
    if isinstance(value, Serializable):
        raise TypeError(f"{where} is a {type(value).__name__}{_advice(value)}")
    raise TypeError(f"{where} is neither a JSON value nor a file: {shown(value)}{_advice(value)}")


def _advice(value: Any) -> str:
    """Return what to pass in place of a value that is not accepted, as the end of a message."""
    match value:
        case Prediction() | Training() | BatchResult():
            advice = "its .output"
        case Page():
            advice = "the .output of one of its items"
        case File():
            advice = "its .urls.get"
        case Serializable():
            advice = "one of its fields, or its to_dict()"
        case timedelta():
            advice = "its total_seconds()"
        case Awaitable():
            advice = "its result: await it first"
        case AsyncIterable():
            advice = "a list of its items"
        case _ if callable(getattr(value, "to_dicts", None)):
            advice = "its to_dicts(), or use client.map() for its rows"
        case _ if callable(getattr(value, "to_dict", None)):
            advice = "its to_dict(), or use client.map() for the rows of a table"
        case _ if isinstance(getattr(value, "content", None), bytes):
            advice = "its .content"
        case _ if callable(value):
            advice = "its result: call it first"
        case _:
            return ""
    return f". Pass {advice}"


def _scalar(value: str | float | None, where: str) -> Any:
    """Return a value that JSON can represent."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value!r}, which JSON cannot represent")
    if not isinstance(value, str):
        return value.value if isinstance(value, Enum) else value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} contains a lone surrogate") from error
    return str.__str__(value)  # the text of a str enum member


def _place(
    value: Any, files: list[_Pending], where: str, above: frozenset[int], place: Any, key: Any
) -> Any:
    if is_file(value):
        files.append(_Pending(value, place, key))
        return None
    return _walk(value, files, where, above)
