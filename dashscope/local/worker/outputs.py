"""Encodes the output of a model as JSON. Files are replaced by their URLs."""

import dataclasses
import hashlib
import json
import math
import os
import shutil
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import Any
from uuid import UUID

from dashscope._common.media_types import type_of
from dashscope.local.type_guards import is_array, is_dataclass, is_mapping
from dashscope.local.values import ORIGIN, new_id


class OutputEncoder:
    """Encodes the outputs of one job. ``encode`` collects files, and ``take`` returns them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: list[dict[str, Any]] = []

    def encode(self, value: Any) -> str:
        """Encode a value as JSON.

        Raises:
            TypeError: The value contains an object that cannot be encoded.
            OSError: A file in the value cannot be read.
        """
        return json.dumps(self._jsonable(value), allow_nan=False)

    def take(self) -> list[dict[str, Any]]:
        """Return the files collected since the last call."""
        files, self._files = self._files, []
        return files

    def _jsonable(self, value: object) -> Any:
        match value:
            case Enum():
                return self._jsonable(value.value)
            case None | bool() | int():
                return value
            case str():
                return text(value)
            case float():
                if not math.isfinite(value):
                    raise TypeError(f"The model returned {value}, which JSON cannot represent.")
                return value
            case Path():
                return self._file(value)
            case _ if is_mapping(value):
                return {text(str(key)): self._jsonable(item) for key, item in value.items()}
            case _ if is_array(value):
                return [self._jsonable(item) for item in value]
            case date() | datetime():
                return value.isoformat()
            case UUID():
                return str(value)
            case _:
                return self._library_object(value)

    def _library_object(self, value: Any) -> Any:
        """Encode an object of a library. Objects are recognized by their attributes."""
        if type(value).__module__.startswith("PIL."):
            path = self._folder / f"image-{new_id()}.png"
            value.save(path, format="PNG")
            return self._file(path, name="output.png")
        if is_dataclass(value):
            fields = dataclasses.fields(value)
            return self._jsonable({field.name: getattr(value, field.name) for field in fields})
        if hasattr(value, "model_dump"):
            return self._jsonable(value.model_dump())
        if hasattr(value, "tolist"):
            return self._jsonable(value.tolist())
        raise TypeError(
            f"The model returned an object of type {type(value).__name__}, which is neither JSON "
            f"nor a file."
        )

    def _file(self, path: Path, name: str | None = None) -> str:
        file_id = new_id()
        kept = self._folder / file_id
        # Copy, and follow links: the model may name a file twice, or write to it again.
        shutil.copyfile(path, kept)
        with kept.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        name = name or path.name
        self._files.append(
            {
                "id": file_id,
                "path": os.fspath(kept),
                "name": text(name),
                "content_type": type_of(name) or "application/octet-stream",
                "size": kept.stat().st_size,
                "sha256": digest,
            }
        )
        return f"{ORIGIN}/v1/files/{file_id}/download"


def text(value: str) -> str:
    """Replace lone surrogates, which cannot be encoded."""
    return value.encode(errors="replace").decode()
