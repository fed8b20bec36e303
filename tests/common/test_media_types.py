"""Media types of files do not depend on `/etc/mime.types`."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator

import pytest

from dashscope._common.media_types import ending_of, type_of


@pytest.fixture(params=["the system's table", "an empty table"])
def _table(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "an empty table":
        monkeypatch.setattr(mimetypes, "knownfiles", [])
    mimetypes._db = None  # type: ignore[attr-defined]
    mimetypes.init()
    yield
    monkeypatch.undo()
    mimetypes._db = None  # type: ignore[attr-defined]
    mimetypes.init()


@pytest.mark.usefixtures("_table")
def test_the_types_of_common_files_do_not_depend_on_the_system() -> None:
    kinds = {
        "jpg": "image/jpeg",
        "png": "image/png",
        "webp": "image/webp",
        "mp3": "audio/mpeg",
        "flac": "audio/flac",
        "ogg": "audio/ogg",
        "m4a": "audio/mp4",
        "mp4": "video/mp4",
        "md": "text/markdown",
        "json": "application/json",
        "zip": "application/zip",
    }
    assert {ending: type_of(f"folder/A.{ending.upper()}") for ending in kinds} == kinds
    assert type_of("weights.tar.gz") == "application/gzip"
    assert type_of("weights.unknown") is None
    for kind in ("image/webp", "audio/flac", "application/gzip"):
        assert type_of(f"x{ending_of(kind)}") == kind
    assert ending_of("x/unknown") == ""
