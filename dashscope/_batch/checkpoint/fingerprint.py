"""What an input is recognized by: a digest of its JSON, with its files by name and content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final, TypeGuard

from dashscope._common.json import is_array, is_mapping, is_object, is_sequence
from dashscope._errors import FileError
from dashscope._files import inputs
from dashscope._files.local_file import LocalFile
from dashscope._runtime.runtime import Runtime

SHOWN: Final = 120
"""Characters of an input that a checkpoint keeps, to name what has changed."""


def digest(value: Any) -> bytes:
    """The digest of a JSON value: the order of keys does not count, nor does 1.0 against 1."""
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def preview(input: Mapping[str, Any]) -> str:
    """The start of an input, for people."""
    text = _shown(input)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _shown(value: Any) -> str:
    """The start of a value; of one that is large, not all is looked at."""
    if isinstance(value, str):
        return repr(value[:SHOWN])
    if _is_bytes(value):
        return f"<{len(value)} bytes>"
    if is_mapping(value):
        items = islice(value.items(), SHOWN)
        return "{" + ", ".join(f"{key!r}: {_shown(item)}" for key, item in items) + "}"
    if is_sequence(value):
        return "[" + ", ".join(_shown(item) for item in islice(value, SHOWN)) + "]"
    return repr(value)


async def digest_of(input: Mapping[str, Any], runtime: Runtime) -> bytes:
    """The digest of an input as the user wrote it, its files read and not sent.

    Raises:
        FileError: for a file that cannot be read, or that cannot be read twice.
        TypeError: for a value that has no form in JSON.
        ValueError: for a number JSON does not know, or a structure that contains itself.
    """

    async def hashed(file: LocalFile) -> str:
        if file.is_copy:
            raise FileError(
                f"{file.filename} can be read only once: with a checkpoint, a file is a path, "
                "bytes, or an open file that can seek"
            )
        return await runtime.in_thread(_hash, file)

    return digest(await inputs.encode(input, runtime, hashed, "upload"))


def _is_bytes(value: Any) -> TypeGuard[bytes]:
    return isinstance(value, bytes | bytearray | memoryview)


def _hash(file: LocalFile) -> str:
    content = hashlib.sha256()
    for piece in file.pieces():
        content.update(piece)
    return f"file:{file.filename}:{content.hexdigest()}"


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if is_object(value):
        return {key: _plain(item) for key, item in value.items()}
    if is_array(value):
        return [_plain(item) for item in value]
    return value
