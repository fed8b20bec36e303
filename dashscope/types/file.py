"""Uploaded files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import field, frozen

from dashscope.types._value import Serializable, Value


@frozen(kw_only=True, repr=False)
class FileURLs(Serializable):
    """The URLs of a file.

    Attributes:
        get: The URL of the metadata. In a model's input it represents the file itself.
        raw: The JSON as received.
    """

    get: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class Checksums(Value):
    """The checksums of a file.

    Attributes:
        sha256: The SHA-256 digest, in hexadecimal.
        raw: The JSON as received.
    """

    sha256: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True, repr=False)
class File(Value):
    """An uploaded file.

    Attributes:
        id: The id.
        name: The file name.
        content_type: The media type.
        size: The length in bytes.
        etag: The entity tag of the content.
        checksums: The checksums.
        metadata: The metadata that was stored with the file.
        created_at: When the file was uploaded.
        expires_at: When the service deletes the file.
        urls: The URLs. Pass `urls.get` as a model's input.
        raw: The JSON as received.
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
