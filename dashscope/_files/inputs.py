"""Files in a model's input: small files become data URIs, larger files are uploaded.

`encode()` converts the user's input to JSON. It checks everything before sending anything: if a
file is missing, nothing is uploaded or created. Strings are never opened as paths.
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
"""The largest file, in bytes, that `auto` puts into the request itself."""
LARGEST_DATA_URIS: Final = 10 * 1000 * 1000
"""How many characters of data URIs the service accepts in one input."""
UPLOADS_AT_ONCE: Final = 4

_FILE_NAME: Final = re.compile(r"(?![a-z][a-z0-9+.-]+:)\S+\.[a-z][a-z0-9]{0,4}", re.IGNORECASE)
"""Text that looks like a path and not like a URL."""

FileEncoding: TypeAlias = Literal["auto", "upload", "data-uri"]


Upload: TypeAlias = Callable[[LocalFile], Awaitable[str]]


def check(input: Mapping[str, Any]) -> None:
    """Raise if `input` is not a mapping."""
    if not isinstance(input, Mapping):
        raise TypeError(
            "input must be a mapping of the model's inputs, such as {'prompt': '...'}, "
            f"not {shown(input)}"
        )


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
    check(input)
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
    if is_mapping(value):
        made: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {shown(key)}, but JSON keys must be str")
            made[key] = _place(item, files, f"{where}[{key!r}]", inside, made, key)
        return made
    if is_sequence(value):
        row: list[Any] = [None] * len(value)
        for index, item in enumerate(value):
            row[index] = _place(item, files, f"{where}[{index}]", inside, row, index)
        return row
    raise TypeError(f"{where} is neither a JSON value nor a file: {shown(value)}")


def _scalar(value: str | float | None, where: str) -> Any:
    """Return a value that JSON can represent."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value!r}, which JSON cannot represent")
    if not isinstance(value, str):
        return value
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
