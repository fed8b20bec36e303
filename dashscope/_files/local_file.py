"""`LocalFile`: a file to be sent, checked before anything is, and read in pieces."""

from __future__ import annotations

import inspect
import os
import re
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import (
    IO,
    Any,
    ClassVar,
    Final,
    Protocol,
    TypeAlias,
    TypeGuard,
    runtime_checkable,
)
from weakref import WeakValueDictionary

from attrs import field, frozen

from dashscope._common.media_types import type_of
from dashscope._common.validation import check_str, shown
from dashscope._errors import FileError
from dashscope._runtime.runtime import Runtime

LARGEST_FILE: Final = 100 * 1024 * 1024
"""Bytes that the service takes in one file."""
LONGEST_FILENAME: Final = 255
"""Bytes that the service takes in a file's name."""
PIECE: Final = 256 * 1024
"""Bytes that are read, and held in memory, at a time."""

_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f]")
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


class OpenFile:
    """An open file, which several calls may read at the same time, each from where it is.

    It stands where its owner left it, as soon as nobody reads it: so it can be sent again.
    """

    _known: ClassVar[WeakValueDictionary[int, OpenFile]] = WeakValueDictionary()
    _knowing: ClassVar = threading.Lock()

    def __init__(self, handle: IO[bytes], *, is_copy: bool = False) -> None:
        self.handle = handle
        self.is_copy = is_copy
        self.start: int = handle.tell()
        self._position = self.start
        self._turn = threading.Lock()

    @classmethod
    def of(cls, handle: IO[bytes]) -> OpenFile:
        """The one and only for a handle, as long as somebody has it."""
        with cls._knowing:
            known = cls._known.get(id(handle))
            if known is None:
                known = cls._known[id(handle)] = cls(handle)
            return known

    def measure(self) -> tuple[int, int]:
        """Where it stands, and how many bytes there are from there on."""
        with self._turn:
            position = self.handle.tell()
            if position != self._position:  # its owner has moved it
                self.start = position
            size = 0
            with suppress(OSError):  # one that does not know its end
                size = self.handle.seek(0, os.SEEK_END) - self.start
            self.handle.seek(self.start)
            self._position = self.start
            return self.start, max(0, size)

    def read_at(self, position: int, size: int) -> bytes:
        """Up to `size` bytes from a position on."""
        with self._turn:
            if self._position != position:
                self.handle.seek(position)
            self._position = -1  # wherever it is, should reading fail
            piece = self.handle.read(size) or b""
            self._position = position + len(piece)
            return piece

    def close(self) -> None:
        """Give it back: as it was, or, where it is a temporary copy, for good."""
        if self.is_copy:
            self.handle.close()
            return
        with self._turn, suppress(OSError, ValueError):  # closed by its owner, who is not here
            self.handle.seek(self.start)
            self._position = self.start


@frozen(kw_only=True)
class LocalFile:
    """A file that can be read from its start as often as it has to be sent.

    Attributes:
        filename: its name.
        content_type: its media type.
        size: its length in bytes.
        source: a path, bytes, or an open file of which the content from `start` on counts.
        start: where in an open file the content starts.
    """

    filename: str
    content_type: str
    size: int
    source: Path | bytes | OpenFile = field(repr=False)
    start: int = 0

    @property
    def is_copy(self) -> bool:
        """Is it read from a temporary copy, of what can be read only once?"""
        return isinstance(self.source, OpenFile) and self.source.is_copy

    def close(self) -> None:
        """Give an open file back, and remove a temporary copy."""
        if isinstance(self.source, OpenFile):
            self.source.close()

    def pieces(self) -> Iterator[bytes]:
        """The content from its start, piece by piece; blocks while it reads.

        Raises:
            FileError: when it cannot be read, or is not as long as it was.
        """
        try:
            if isinstance(self.source, Path):
                with self.source.open("rb") as handle:
                    yield from self._read(lambda _, size: handle.read(size))
            elif isinstance(self.source, bytes):
                content = self.source
                yield from self._read(lambda at, size: content[at : at + size])
            else:
                yield from self._read(self.source.read_at)
        except (OSError, ValueError) as error:
            raise unreadable(self.filename, error) from error

    def read(self) -> bytes:
        """All of it."""
        return self.source if isinstance(self.source, bytes) else b"".join(self.pieces())

    def _read(self, read_at: Callable[[int, int], bytes]) -> Iterator[bytes]:
        position, end = self.start, self.start + self.size
        while position < end:
            piece = read_at(position, min(PIECE, end - position))
            if not piece:
                break
            position += len(piece)
            yield piece
        if position < end or read_at(position, 1):
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
    kind = content_type or type_of(name) or "application/octet-stream"
    try:
        source, start, size = await runtime.in_thread(_measure, content, name)
    except (OSError, ValueError) as error:
        raise unreadable(content if isinstance(content, Path) else name, error) from error
    if size > LARGEST_FILE:
        raise _too_large(name, size)
    return LocalFile(filename=name, content_type=kind, size=size, source=source, start=start)


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


def _measure(content: FileContent, name: str) -> tuple[Path | bytes | OpenFile, int, int]:
    """Where the content is to be read from, where it starts there, and how long it is."""
    if isinstance(content, bytes | bytearray | memoryview):
        data = content.tobytes() if isinstance(content, memoryview) else bytes(content)
        return data, 0, len(data)
    if isinstance(content, Path):
        with content.open("rb") as opened:
            status = os.fstat(opened.fileno())
            if stat.S_ISREG(status.st_mode) and (status.st_size > 0 or not opened.peek(1)):
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
    if isinstance(probe, str):
        raise FileError(f"{name} is open in text mode: open it with 'rb'")
    if not isinstance(probe, bytes):
        raise FileError(f"{name} gives {type(probe).__name__} when it is read, not bytes")
    if whole:
        return probe, 0, len(probe)
    if not (callable(getattr(handle, "seekable", None)) and handle.seekable()):
        return _spool(handle, name)
    file = OpenFile.of(handle)
    start, size = file.measure()
    try:
        if size > 0:
            return file, start, size
        if not file.read_at(start, 1):
            if start > 0:  # it was just written, or read
                raise FileError(f"{name} is at its end, where nothing is left to send: seek(0)")
            return file, start, size
        # It does not know how long it is, as those of /proc.
        handle.seek(start)
        return _spool(handle, name)
    finally:
        file.close()


def _spool(handle: Readable, name: str) -> tuple[OpenFile, int, int]:
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(PIECE)  # noqa: SIM115 (read later)
    size = 0
    try:
        while piece := handle.read(PIECE):
            size += len(piece)
            if size > LARGEST_FILE:
                raise _too_large(name, size)  # noqa: TRY301 (the copy is removed below)
            spool.write(piece)
        if piece is None:
            raise BlockingIOError("it does not block, and has no more yet")  # noqa: TRY301
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return OpenFile(spool, is_copy=True), 0, size


def _name(content: FileContent) -> str:
    """A name that can be sent, as near to its own as may be."""
    name = content if isinstance(content, Path) else getattr(content, "name", None)
    if not isinstance(name, Path | str | bytes):
        return "file"
    own = Path(os.fsdecode(name)).name.encode(errors="replace").decode()
    return _UNSENDABLE.sub("_", own) or "file"
