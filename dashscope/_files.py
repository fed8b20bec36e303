"""`LocalFile`: a file to be sent, checked before anything is, and read in pieces."""

from __future__ import annotations

import inspect
import io
import mimetypes
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeGuard, runtime_checkable

from attrs import field, frozen

from dashscope._arguments import check_str, shown
from dashscope._errors import FileError

if TYPE_CHECKING:
    from dashscope._runtime import Runtime

LARGEST_FILE: Final = 100 * 1024 * 1024
"""Bytes that the service takes in one file."""
LONGEST_FILENAME: Final = 255
"""Bytes that the service takes in a file's name."""
PIECE: Final = 256 * 1024
"""Bytes that are read, and held in memory, at a time."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}(; ?{_WORD}=({_WORD}|\"[ !#-\[\]-~]*\"))*")


@runtime_checkable
class Readable(Protocol):
    """An open binary file, or whatever reads like one."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes of what is left of its content."""
        ...


FileContent: TypeAlias = Path | bytes | bytearray | memoryview | Readable
"""What counts as a file: a path, bytes, or an open binary file."""


def is_file(value: Any) -> TypeGuard[FileContent]:
    """Is this sent as a file?"""
    # A file output is a str that reads: it goes in as the URL it is.
    return isinstance(value, Path | bytes | bytearray | memoryview) or (
        isinstance(value, Readable) and not isinstance(value, str)
    )


@frozen(kw_only=True)
class LocalFile:
    """A file that can be read from its start as often as it has to be sent.

    Attributes:
        filename: its name.
        content_type: its media type.
        size: its length in bytes.
        source: a path, bytes, or an open file of which the content from `start` on counts.
        start: where in an open file the content starts.
        is_copy: whether the source is a temporary copy, which `close()` removes.
    """

    filename: str
    content_type: str
    size: int
    source: Path | bytes | IO[bytes] = field(repr=False)
    start: int = 0
    is_copy: bool = False

    def close(self) -> None:
        """Remove the temporary copy, where there is one."""
        if self.is_copy and not isinstance(self.source, Path | bytes):
            self.source.close()

    def pieces(self) -> Iterator[bytes]:
        """The content from its start, piece by piece; blocks while it reads.

        Raises:
            FileError: when it cannot be read, or is not as long as it was.
        """
        try:
            if isinstance(self.source, Path):
                with self.source.open("rb") as handle:
                    yield from self._read(handle)
            elif isinstance(self.source, bytes):
                yield from self._read(io.BytesIO(self.source))
            else:
                self.source.seek(self.start)
                yield from self._read(self.source)
        except (OSError, ValueError) as error:
            raise unreadable(self.filename, error) from error

    def read(self) -> bytes:
        """All of it."""
        return self.source if isinstance(self.source, bytes) else b"".join(self.pieces())

    def _read(self, handle: IO[bytes]) -> Iterator[bytes]:
        left = self.size
        while left > 0:
            piece = handle.read(min(PIECE, left))
            if not piece:
                break
            left -= len(piece)
            yield piece
        if left > 0 or handle.read(1):
            raise FileError(f"{self.filename} changed its length while it was sent")


async def load(
    content: FileContent,
    runtime: Runtime,
    *,
    filename: str | None = None,
    content_type: str | None = None,
) -> LocalFile:
    """Look at a file, and name it and its media type where the caller does not.

    An open file that cannot seek is copied: to memory up to `PIECE`, beyond to a temporary file
    that `LocalFile.close()` removes.

    Raises:
        FileError: when it is missing, a folder, unreadable, in text mode or too large.
    """
    if not is_file(content):
        path = ": for a file of that name, pass Path(...)" if isinstance(content, str) else ""
        raise TypeError(
            f"a file is a pathlib.Path, bytes or an open binary file, not {shown(content)}{path}"
        )
    name = filename if filename is not None else _name(content)
    check_str("filename", name)
    if content_type is not None:
        check_type(content_type)
    kind = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    try:
        source, start, size = await runtime.in_thread(_measure, content, name)
        is_copy = source is not content and not isinstance(source, Path | bytes)
    except (OSError, ValueError) as error:
        raise unreadable(content if isinstance(content, Path) else name, error) from error
    if size > LARGEST_FILE:
        raise _too_large(name, size)
    return LocalFile(
        filename=name,
        content_type=kind,
        size=size,
        source=source,
        start=start,
        is_copy=is_copy,
    )


def check_name(filename: str) -> None:
    """Refuse a name that the service does not take."""
    size = len(check_str("filename", filename).encode())
    if not 0 < size <= LONGEST_FILENAME or any(c in filename for c in "\r\n\0"):
        raise ValueError(
            f"filename is 1 to {LONGEST_FILENAME} bytes (in UTF-8) in one line, "
            f"not {shown(filename)}"
        )


def check_type(content_type: str) -> None:
    """Refuse what is no media type."""
    if not _MEDIA_TYPE.fullmatch(check_str("content_type", content_type)):
        raise ValueError(
            f"content_type is a media type such as image/png, not {shown(content_type)}"
        )


def unreadable(name: object, error: Exception) -> FileError:
    """The error for a file that the system does not give."""
    return FileError(f"{name} cannot be read: {error}")


def _too_large(name: str, size: int) -> FileError:
    return FileError(
        f"{name} has {size} bytes, and the service takes {LARGEST_FILE} (100 MB): "
        "host it yourself and pass its URL."
    )


def _measure(content: FileContent, name: str) -> tuple[Path | bytes | IO[bytes], int, int]:
    """Where the content is to be read from, where it starts there, and how long it is."""
    if isinstance(content, bytes | bytearray | memoryview):
        data = content.tobytes() if isinstance(content, memoryview) else bytes(content)
        return data, 0, len(data)
    if isinstance(content, Path):
        with content.open("rb") as opened:
            status = os.fstat(opened.fileno())
            if stat.S_ISREG(status.st_mode):
                return content, 0, status.st_size
            return _spool(opened, name)
    handle: Any = content
    try:
        probe, whole = handle.read(0), False
    except TypeError:  # its read() takes no size
        probe, whole = handle.read(), True
    if inspect.isawaitable(probe):
        if inspect.iscoroutine(probe):
            probe.close()
        raise FileError(f"{name} is read with await: read it, and pass the bytes")
    if not isinstance(probe, bytes):
        raise FileError(f"{name} is open in text mode: open it with 'rb'")
    if whole:
        return probe, 0, len(probe)
    if callable(getattr(handle, "seekable", None)) and handle.seekable():
        start = handle.tell()
        size = handle.seek(0, os.SEEK_END) - start
        handle.seek(start)
        return handle, start, size
    return _spool(content, name)


def _spool(handle: Readable, name: str) -> tuple[IO[bytes], int, int]:
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(PIECE)  # noqa: SIM115 (read later)
    size = 0
    try:
        while piece := handle.read(PIECE):
            size += len(piece)
            if size > LARGEST_FILE:
                raise _too_large(name, size)  # noqa: TRY301 (the copy is removed below)
            spool.write(piece)
    except BaseException:
        spool.close()
        raise
    return spool, 0, size


def _name(content: FileContent) -> str:
    if isinstance(content, Path):
        return content.name
    name = getattr(content, "name", None)
    return Path(os.fsdecode(name)).name if isinstance(name, str | bytes) else "file"
