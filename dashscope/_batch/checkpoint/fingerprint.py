"""Fingerprints of inputs: a hash of the JSON, with files identified by name and content."""

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

PREVIEW_LENGTH: Final = 120
"""Characters of an input that a checkpoint stores, to show what has changed."""


def fingerprint(value: Any) -> bytes:
    """Return the fingerprint of a JSON value.

    The order of keys does not matter, and 1.0 equals 1.
    """
    text = json.dumps(_normalize(value), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


async def input_fingerprint(input: Mapping[str, Any], runtime: Runtime) -> bytes:
    """Return the fingerprint of an input as the user wrote it. Files are read but not sent.

    Args:
        input: The input.
        runtime: Reads the files in a worker thread.

    Raises:
        FileError: If a file cannot be read, or cannot be read twice.
        TypeError: If a value cannot be represented in JSON.
        ValueError: If a number is not valid JSON, or a structure contains itself.
    """

    async def hash_file(file: LocalFile) -> str:
        if file.is_copy:
            raise FileError(
                f"{file.filename} can be read only once. With a checkpoint, pass a path, bytes, or "
                "an open file that can seek."
            )
        return await runtime.in_thread(_hash, file)

    return fingerprint(await inputs.encode(input, runtime, hash_file, "upload"))


def preview(input: Mapping[str, Any]) -> str:
    """Return the start of an input, for error messages."""
    text = _preview(input)
    return text if len(text) <= PREVIEW_LENGTH else text[: PREVIEW_LENGTH - 1] + "…"


def _preview(value: Any) -> str:
    """Return a preview of a value without formatting all of a large one."""
    if isinstance(value, str):
        return repr(value[:PREVIEW_LENGTH])
    if _is_bytes(value):
        return f"<{len(value)} bytes>"
    if is_mapping(value):
        items = islice(value.items(), PREVIEW_LENGTH)
        return "{" + ", ".join(f"{key!r}: {_preview(item)}" for key, item in items) + "}"
    if is_sequence(value):
        return "[" + ", ".join(_preview(item) for item in islice(value, PREVIEW_LENGTH)) + "]"
    return repr(value)


def _is_bytes(value: Any) -> TypeGuard[bytes]:
    return isinstance(value, bytes | bytearray | memoryview)


def _hash(file: LocalFile) -> str:
    content = hashlib.sha256()
    for piece in file.pieces():
        content.update(piece)
    return f"file:{file.filename}:{content.hexdigest()}"


def _normalize(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if is_object(value):
        return {key: _normalize(item) for key, item in value.items()}
    if is_array(value):
        return [_normalize(item) for item in value]
    return value
