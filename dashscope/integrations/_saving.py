"""File outputs of workers, written to a folder or an object store."""

from __future__ import annotations

import os
import socket
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

from dashscope import types
from dashscope._common.json import is_array, is_object
from dashscope._files.file_output import AsyncFileOutput
from dashscope._runtime.runtime import Runtime


async def save_files(
    runtime: Runtime, prefix: str, prediction: types.Prediction, output: Any
) -> Any:
    """Write the files of an output, and return the output with their addresses.

    Args:
        runtime: Writes in a worker thread.
        prefix: The folder, or a prefix such as `s3://bucket/images`.
        prediction: The prediction. Files are named after it, so that a retry writes the same file.
        output: The output, with file outputs.
    """
    count = 0

    async def save(value: Any) -> Any:
        nonlocal count
        if isinstance(value, AsyncFileOutput):
            suffix = PurePosixPath(value.filename).suffix
            address = f"{prefix.rstrip('/')}/{prediction.id}-{count}{suffix}"
            count += 1
            await runtime.in_thread(_write, address, await value.read())
            return address
        if is_object(value):
            return {name: await save(item) for name, item in value.items()}
        if is_array(value):
            return [await save(item) for item in value]
        return value

    return await save(output)


def _write(address: str, content: bytes) -> None:
    if "://" in address:
        with import_module("fsspec").open(address, "wb") as file:
            file.write(content)
        return
    path = Path(address)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)
