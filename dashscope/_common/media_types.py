"""Media types by file name, and file name endings by media type. Pure."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import PurePath
from typing import Final

_PACKED: Final[Mapping[str, str]] = {
    "gzip": "application/gzip",
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
}
# Python's own table is incomplete, and slim systems have no `/etc/mime.types`.
_MISSING: Final[Mapping[str, str]] = {
    ".flac": "audio/flac",
    ".glb": "model/gltf-binary",
    ".m4a": "audio/mp4",
    ".md": "text/markdown",
    ".ogg": "audio/ogg",
    ".webp": "image/webp",
}
_ENDINGS: Final[Mapping[str, str]] = {
    _PACKED[packing]: ending
    for ending, packing in mimetypes.encodings_map.items()
    if packing in _PACKED
} | {kind: ending for ending, kind in _MISSING.items()}


def type_of(name: str) -> str | None:
    """Return the media type of a file name or path, or `None` if it is unknown."""
    # As a path, because `guess_type()` would parse `data:x` as a URL.
    kind, packing = mimetypes.guess_type(f"/{name}")
    # For a compressed file, the type of the compression counts: those are the bytes that are sent.
    if packing is not None:
        return _PACKED.get(packing, "application/octet-stream")
    return kind or _MISSING.get(PurePath(name).suffix.lower())


def ending_of(kind: str) -> str:
    """Return the ending of a file name for a media type, such as `.png`, or an empty text."""
    return mimetypes.guess_extension(kind) or _ENDINGS.get(kind, "")
