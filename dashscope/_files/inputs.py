"""Files in a model's input: small ones become data URIs, larger ones are uploaded.

`encode()` takes the input as the user wrote it and gives JSON. Everything is looked at before
anything is sent: a file that is not there means that nothing was uploaded and nothing created.
Strings are never opened as paths.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final, Literal, TypeAlias, cast

from attrs import frozen

from dashscope._common.json import is_mapping, is_sequence
from dashscope._common.validation import check_choice, shown
from dashscope._errors import FileError
from dashscope._files.local_file import FileContent, LocalFile, check_name, is_file, load
from dashscope._runtime.runtime import Runtime

LARGEST_DATA_URI: Final = 256 * 1024
"""Bytes up to which a file goes into the request itself."""
LARGEST_DATA_URIS: Final = 10 * 1000 * 1000
"""Characters of data URIs that the service takes in one input."""
UPLOADS_AT_ONCE: Final = 4

_FILE_NAME: Final = re.compile(r"(?![a-z][a-z0-9+.-]+:)\S+\.[a-z][a-z0-9]{0,4}", re.IGNORECASE)
"""Text that looks like a path and not like a URL."""

FileEncoding: TypeAlias = Literal["auto", "upload", "data-uri"]


Upload: TypeAlias = Callable[[LocalFile], Awaitable[str]]


def check(input: Mapping[str, Any]) -> None:
    """Refuse what cannot be a model's input."""
    if not isinstance(input, Mapping):
        raise TypeError(
            "input is a mapping of the model's inputs, like {'prompt': '...'}, "
            f"not {shown(input)}"
        )


def check_encoding(file_encoding: str) -> None:
    """Refuse an unknown way to send files."""
    check_choice("file_encoding", file_encoding, ("auto", "upload", "data-uri"))


async def encode(
    input: Mapping[str, Any], runtime: Runtime, upload: Upload, file_encoding: FileEncoding = "auto"
) -> dict[str, Any]:
    """The input as JSON, its files as URLs.

    Raises:
        FileError: for a file that cannot be read or sent.
        TypeError: for a value that has no form in JSON.
        ValueError: for a number JSON does not know, or a structure that contains itself.
    """
    check(input)
    check_encoding(file_encoding)
    files: list[_Pending] = []
    try:
        tree = cast("dict[str, Any]", _walk(input, files, "input", frozenset()))
    except RecursionError:
        raise ValueError("input is nested too deeply for JSON") from None
    loaded: list[LocalFile] = []
    try:
        # A file that stands in several places is read, and sent, once.
        places: dict[int, list[_Pending]] = {}
        for pending in files:
            places.setdefault(id(pending.content), []).append(pending)
        for same in places.values():
            loaded.append(await load(same[0].content, runtime))  # noqa: PERF401 (to be closed)
        await _send(list(places.values()), loaded, runtime, upload, file_encoding)
    finally:
        for file in loaded:
            file.close()
    return tree


def path_hint(input: Mapping[str, Any], detail: str) -> str | None:
    """Return a sentence about text in `input` that names a local file, or `None`.

    Args:
        input: The input that was sent.
        detail: Why the server refused it. Only inputs that it mentions count.
    """
    for name, value in input.items():
        if (
            isinstance(value, str)
            and _FILE_NAME.fullmatch(value)
            and re.search(rf"\b{re.escape(name)}\b", detail)
        ):
            return f"{name} is the text {shown(value)}. To send a local file, pass a pathlib.Path."
    return None


async def _send(
    places: list[list[_Pending]],
    loaded: list[LocalFile],
    runtime: Runtime,
    upload: Upload,
    file_encoding: FileEncoding,
) -> None:
    """Put the URL of each file in its place."""
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
            f"The files of this input make {total} characters of data URIs, and the service takes "
            f"{LARGEST_DATA_URIS}: use file_encoding='auto' or 'upload'."
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
    """A file, and the place in the JSON that its URL goes to."""

    content: FileContent
    place: Any
    key: Any


def _walk(value: Any, files: list[_Pending], where: str, above: frozenset[int]) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return _scalar(value, where)
    if id(value) in above:
        raise ValueError(f"{where} contains itself")
    inside = above | {id(value)}
    if is_mapping(value):
        made: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {shown(key)}: JSON has only str keys")
            made[key] = _place(item, files, f"{where}[{key!r}]", inside, made, key)
        return made
    if is_sequence(value):
        row: list[Any] = [None] * len(value)
        for index, item in enumerate(value):
            row[index] = _place(item, files, f"{where}[{index}]", inside, row, index)
        return row
    raise TypeError(f"{where} is {shown(value)}: neither JSON nor a file")


def _scalar(value: str | float | None, where: str) -> Any:
    """A value that JSON has, and can write."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value!r}, a number that JSON does not know")
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{where} has a lone surrogate in it") from error
    return str.__str__(value)  # of an enumeration of texts, its text


def _place(
    value: Any, files: list[_Pending], where: str, above: frozenset[int], place: Any, key: Any
) -> Any:
    if is_file(value):
        files.append(_Pending(value, place, key))
        return None
    return _walk(value, files, where, above)
