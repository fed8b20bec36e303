"""Uploaded files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen


@frozen(kw_only=True)
class FileURLs:
    """Where a file can be found.

    Attributes:
        get: its metadata; as a value in a model's input, the file itself.
        raw: the JSON as received.
    """

    get: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class Checksums:
    """The checksums of a file.

    Attributes:
        sha256: in hexadecimal digits.
        raw: the JSON as received.
    """

    sha256: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class File:
    """An uploaded file.

    Attributes:
        id: its id.
        name: its name.
        content_type: its media type.
        size: its length in bytes.
        etag: the tag of its content.
        checksums: its checksums.
        metadata: what its owner noted with it.
        created_at: when it was uploaded.
        expires_at: when the service removes it.
        urls: where it can be found; `urls.get` is what goes into a model's input.
        raw: the JSON as received.
    """

    id: str
    name: str | None = None
    content_type: str | None = None
    size: int | None = None
    etag: str | None = None
    checksums: Checksums | None = None
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)
    created_at: datetime | None = None
    expires_at: datetime | None = None
    urls: FileURLs | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)
