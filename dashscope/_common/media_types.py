"""What a file's name tells of its content, and the other way round. Pure."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from typing import Final

_PACKED: Final[Mapping[str, str]] = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}
_ENDINGS: Final[Mapping[str, str]] = {
    _PACKED[packing]: ending
    for ending, packing in mimetypes.encodings_map.items()
    if packing in _PACKED
}


def type_of(name: str) -> str | None:
    """The media type of a file, or of the file at the end of a path, by its name."""
    # As a path, since `data:x` would count as a URL.
    kind, packing = mimetypes.guess_type(f"/{name}")
    # What is in a packed file is no matter to whom it is sent to: the bytes are those of the pack.
    return kind if packing is None else _PACKED.get(packing, "application/octet-stream")


def ending_of(kind: str) -> str:
    """How a file's name ends that is of a media type: `.png`, or nothing."""
    return mimetypes.guess_extension(kind) or _ENDINGS.get(kind, "")
