"""Files in a model's input: small ones become data URIs, larger ones are uploaded.

`encode()` takes the input as the user wrote it and gives JSON. Everything is looked at before
anything is sent: a file that is not there means that nothing was uploaded and nothing created.
Strings are never opened as paths.
"""

from __future__ import annotations

import base64
import mimetypes
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    Protocol,
    TypeAlias,
    TypeGuard,
    cast,
    runtime_checkable,
)

from attrs import frozen

from dashscope._errors import FileError
from dashscope._json import is_mapping, is_sequence

if TYPE_CHECKING:
    from dashscope._runtime import Runtime

LARGEST_DATA_URI: Final = 256 * 1024
"""Bytes up to which a file goes into the request itself."""
LARGEST_DATA_URIS: Final = 10 * 1000 * 1000
"""Characters of data URIs that the service takes in one input."""
LARGEST_FILE: Final = 100 * 1024 * 1024
"""Bytes that the service takes in one file."""

FileEncoding: TypeAlias = Literal["auto", "upload", "data-uri"]


@runtime_checkable
class Readable(Protocol):
    """An open binary file, or whatever reads like one."""

    def read(self) -> bytes:
        """The rest of its content."""
        ...


FileContent: TypeAlias = Path | bytes | bytearray | memoryview | Readable
"""What counts as a file: a path, bytes, or an open binary file."""


@frozen(kw_only=True)
class LocalFile:
    """A file, read into memory."""

    filename: str
    content_type: str
    content: bytes

    def data_uri(self) -> str:
        """The file as a `data:` URI."""
        return f"data:{self.content_type};base64,{base64.b64encode(self.content).decode()}"


Upload: TypeAlias = Callable[[LocalFile], Awaitable[str]]


def check(input: Mapping[str, Any]) -> None:
    """Refuse what cannot be a model's input."""
    if not isinstance(input, Mapping):
        raise TypeError(
            f"input is a mapping of the model's inputs, like {{'prompt': '...'}}, not {input!r}"
        )


def check_encoding(file_encoding: str) -> None:
    """Refuse an unknown way to send files."""
    if file_encoding not in ("auto", "upload", "data-uri"):
        raise ValueError(f"file_encoding is 'auto', 'upload' or 'data-uri', not {file_encoding!r}")


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
    tree = cast("dict[str, Any]", _walk(input, files, "input", frozenset()))
    loaded = [await load(pending.content, runtime) for pending in files]
    inline = [
        file_encoding == "data-uri"
        or (file_encoding == "auto" and len(file.content) <= LARGEST_DATA_URI)
        for file in loaded
    ]
    uris = [file.data_uri() if direct else "" for file, direct in zip(loaded, inline, strict=True)]
    total = sum(map(len, uris))
    if total > LARGEST_DATA_URIS:
        raise FileError(
            f"The files of this input make {total} characters of data URIs, and the service takes "
            f"{LARGEST_DATA_URIS}: use file_encoding='auto' or 'upload'."
        )
    for pending, file, uri in zip(files, loaded, uris, strict=True):
        pending.place[pending.key] = uri or await upload(file)
    return tree


async def load(
    content: FileContent,
    runtime: Runtime,
    *,
    filename: str | None = None,
    content_type: str | None = None,
) -> LocalFile:
    """Read a file, and name it and its media type where the caller does not.

    Raises:
        FileError: when it is missing, a folder, unreadable, in text mode or too large.
    """
    name = filename if filename is not None else _name(content)
    data = await _read(content, runtime)
    if len(data) > LARGEST_FILE:
        raise FileError(
            f"{name} has {len(data)} bytes, and the service takes {LARGEST_FILE} (100 MB): "
            "host it yourself and pass its URL."
        )
    kind = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return LocalFile(filename=name, content_type=kind, content=data)


@frozen
class _Pending:
    """A file, and the place in the JSON that its URL goes to."""

    content: FileContent
    place: Any
    key: Any


def _walk(value: Any, files: list[_Pending], where: str, above: frozenset[int]) -> Any:
    if value is None or isinstance(value, str | bool | int | float):
        return str(value) if type(value) is not str and isinstance(value, str) else value
    if id(value) in above:
        raise ValueError(f"{where} contains itself")
    inside = above | {id(value)}
    if is_mapping(value):
        made: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}: JSON has only str keys")
            made[key] = _place(item, files, f"{where}[{key!r}]", inside, made, key)
        return made
    if is_sequence(value):
        row: list[Any] = [None] * len(value)
        for index, item in enumerate(value):
            row[index] = _place(item, files, f"{where}[{index}]", inside, row, index)
        return row
    raise TypeError(f"{where} is {value!r}: neither JSON nor a file")


def _place(
    value: Any, files: list[_Pending], where: str, above: frozenset[int], place: Any, key: Any
) -> Any:
    if _is_file(value):
        files.append(_Pending(value, place, key))
        return None
    return _walk(value, files, where, above)


def _is_file(value: Any) -> TypeGuard[FileContent]:
    # A file output is a str that reads: it goes in as the URL it is.
    return isinstance(value, Path | bytes | bytearray | memoryview) or (
        isinstance(value, Readable) and not isinstance(value, str)
    )


def _name(content: FileContent) -> str:
    if isinstance(content, Path):
        return content.name
    name = getattr(content, "name", None)
    return Path(os.fsdecode(name)).name if isinstance(name, str | bytes) else "file"


async def _read(content: FileContent, runtime: Runtime) -> bytes:
    if isinstance(content, memoryview):
        return content.tobytes()
    if isinstance(content, bytes | bytearray):
        return bytes(content)
    try:
        if isinstance(content, Path):
            return await runtime.read_file(content)
        data = await runtime.in_thread(content.read)
    except (OSError, ValueError) as error:
        shown = content if isinstance(content, Path) else getattr(content, "name", content)
        raise FileError(f"{shown} cannot be read: {error}") from error
    if not isinstance(data, bytes):
        raise FileError(f"{content!r} is open in text mode: open it with 'rb'")
    return data
