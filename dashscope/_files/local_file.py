"""`LocalFile`: a file to send, checked before the request and read in pieces."""

from __future__ import annotations

import inspect
import io
import os
import re
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import (
    Any,
    ClassVar,
    Final,
    Protocol,
    TypeAlias,
    TypeGuard,
    cast,
    runtime_checkable,
)
from weakref import WeakValueDictionary

from attrs import field, frozen

from dashscope._common.media_types import type_of
from dashscope._common.validation import check_str, shown
from dashscope._errors import FileError
from dashscope._runtime.resource_lock import ResourceLock
from dashscope._runtime.runtime import Runtime

LARGEST_FILE: Final = 100 * 1024 * 1024
"""The largest file, in bytes, that the service accepts."""
LONGEST_FILENAME: Final = 255
"""The longest file name, in bytes, that the service accepts."""
PIECE: Final = 256 * 1024
"""How many bytes to read, and keep in memory, at a time."""

_UNSENDABLE = re.compile(r"[\x00-\x1f\x7f]")
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf"{_WORD}/{_WORD}(; ?{_WORD}=({_WORD}|\"[ !#-\[\]-~]*\"))*")


@runtime_checkable
class Readable(Protocol):
    """An open binary file, or an object with the same `read` method."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes of the remaining content."""
        ...


@runtime_checkable
class SeekableFile(Readable, Protocol):
    """A file whose size can be measured, and that can be read again."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position and return it."""
        ...

    def tell(self) -> int:
        """Return the position."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


@runtime_checkable
class PillowImage(Protocol):
    """An image of Pillow, which is sent as a PNG file."""

    def save(self, fp: Any, /, *, format: str) -> None:
        """Write the image."""
        ...

    def convert(self, mode: str, /) -> PillowImage:
        """Return the image in another mode."""
        ...


@runtime_checkable
class Figure(Protocol):
    """A figure of matplotlib, which is sent as a PNG file."""

    def savefig(self, fname: Any, /, *, format: str) -> None:
        """Write the figure."""
        ...


FileContent: TypeAlias = (
    os.PathLike[str] | bytes | bytearray | memoryview | Readable | PillowImage | Figure
)
"""The types that are sent as a file: a path, bytes, an open binary file, or an image."""


def is_file(value: Any) -> TypeGuard[FileContent]:
    """Return whether a value is sent as a file."""
    # A file output is a `str` with a `read` method. It is sent as its URL. The other types are only
    # here because the rest of the check is slow.
    return not isinstance(value, str | int | float | dict | list | type | None) and isinstance(
        value, os.PathLike | bytes | bytearray | memoryview | Readable | PillowImage | Figure
    )


class OpenFile:
    """An open file that several calls may read at the same time, each from its own position.

    Between reads the file is at the position where its owner left it, so it can be sent again.
    """

    _known: ClassVar[WeakValueDictionary[int, OpenFile]] = WeakValueDictionary()
    _knowing: ClassVar = threading.Lock()

    def __init__(self, handle: SeekableFile, *, is_copy: bool = False) -> None:
        self.handle = handle
        self.is_copy = is_copy
        self.start: int = handle.tell()
        self._position = self.start
        self._lock = ResourceLock()

    @classmethod
    def of(cls, handle: SeekableFile) -> OpenFile:
        """Return the only `OpenFile` of a handle."""
        with cls._knowing:
            known = cls._known.get(id(handle))
            if known is None:
                known = cls._known[id(handle)] = cls(handle)
            return known

    def measure(self) -> tuple[int, int]:
        """Return the file's position, and the number of bytes after it."""
        with self._lock.held():
            position = self.handle.tell()
            if position != self._position:  # the owner has moved the file
                self.start = position
            size = 0
            with suppress(OSError):  # some files cannot seek from the end
                size = self.handle.seek(0, os.SEEK_END) - self.start
            self.handle.seek(self.start)
            self._position = self.start
            return self.start, max(0, size)

    def read_at(self, position: int, size: int) -> bytes:
        """Return up to `size` bytes from a position."""
        with self._lock.held():
            if self._position != position:
                self.handle.seek(position)
            self._position = -1  # unknown, in case the read fails
            piece = self.handle.read(size) or b""
            self._position = position + len(piece)
            return piece

    def close(self) -> None:
        """Restore the owner's position, or delete the file if it is a temporary copy.

        If another thread is reading the file, that thread does so afterwards.
        """
        self._lock.run_when_free(self.handle.close if self.is_copy else self._restore)

    def _restore(self) -> None:
        with suppress(OSError, ValueError):  # the owner may have closed it
            self.handle.seek(self.start)
            self._position = self.start


@frozen(kw_only=True)
class LocalFile:
    """A file that can be read from its start each time that it is sent.

    Attributes:
        filename: The name of the file.
        content_type: The media type.
        size: The length in bytes.
        source: A path, bytes, or an open file, whose content from `start` is sent.
        start: The position in an open file where the content starts.
    """

    filename: str
    content_type: str
    size: int
    source: Path | bytes | OpenFile = field(repr=False)
    start: int = 0

    @property
    def is_copy(self) -> bool:
        """True for a temporary copy of a source that can be read only once."""
        return isinstance(self.source, OpenFile) and self.source.is_copy

    def close(self) -> None:
        """Restore the position of an open file, or delete a temporary copy."""
        if isinstance(self.source, OpenFile):
            self.source.close()

    def pieces(self) -> Iterator[bytes]:
        """Iterate over the content from its start. Blocks while reading.

        Raises:
            FileError: If the file cannot be read, or its length has changed.
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
        """Return all of the content."""
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
            raise FileError(f"{self.filename} changed its length while it was being sent")


async def load(
    content: FileContent,
    runtime: Runtime,
    *,
    filename: str | None = None,
    content_type: str | None = None,
) -> LocalFile:
    """Open and measure a file. Derive its name and media type unless they are given.

    An open file that cannot seek is copied, to memory up to `PIECE` bytes and otherwise to a
    temporary file that `LocalFile.close()` removes.

    Raises:
        FileError: If the file is missing, a folder, unreadable, in text mode or too large.
    """
    if not is_file(content):
        advice = "; for a file of that name, pass Path(...)" if isinstance(content, str) else ""
        raise TypeError(
            "a file must be a pathlib.Path, bytes, an open binary file or an image, "
            f"not {shown(content)}{advice}"
        )
    name = filename if filename is not None else _name(content)
    check_str("filename", name)
    if content_type is not None:
        check_type(content_type)
    else:
        content_type = _uploaded_type(content)
    content = _upload_content(content)
    is_image = isinstance(content, PillowImage | Figure)
    usual = "image/png" if is_image else type_of(name) or "application/octet-stream"
    kind = content_type or usual
    if isinstance(content, os.PathLike):  # also of anyio, trio and others
        content = Path(os.fsdecode(content))
    copies: list[OpenFile] = []
    try:
        source, start, size = await runtime.in_thread(_measure, content, name, copies)
    except (OSError, ValueError) as error:
        raise unreadable(content if isinstance(content, Path) else name, error) from error
    except BaseException:
        for copy in copies:  # the caller was canceled and does not get it
            copy.close()
        raise
    if size > LARGEST_FILE:
        raise _too_large(name, size)
    return LocalFile(filename=name, content_type=kind, size=size, source=source, start=start)


def _upload_content(content: FileContent) -> FileContent:
    """Return the open file of an upload. The upload of FastAPI and Starlette itself is async."""
    file = getattr(content, "file", None)
    return file if hasattr(content, "filename") and isinstance(file, Readable) else content


def _uploaded_type(content: FileContent) -> str | None:
    """Return the media type that an upload came with, or `None`."""
    kind = getattr(content, "content_type", None)
    return kind if isinstance(kind, str) and _MEDIA_TYPE.fullmatch(kind) else None


def check_name(filename: str) -> None:
    """Raise if the service does not accept a file name."""
    size = len(check_str("filename", filename).encode())
    if not 0 < size <= LONGEST_FILENAME or any(c in filename for c in "\r\n\0"):
        raise ValueError(
            f"filename must be a single line of 1 to {LONGEST_FILENAME} bytes (in UTF-8), "
            f"not {shown(filename)}"
        )


def check_type(content_type: str) -> None:
    """Raise if a text is not a media type."""
    if not _MEDIA_TYPE.fullmatch(check_str("content_type", content_type)):
        raise ValueError(
            f"content_type must be a media type such as image/png, not {shown(content_type)}"
        )


def unreadable(name: object, error: Exception) -> FileError:
    """Return the error for a file that cannot be read."""
    return FileError(f"{name} cannot be read: {error}")


def _too_large(name: str, size: int) -> FileError:
    return FileError(
        f"{name} is too large: it has {size} bytes, and the service accepts {LARGEST_FILE} "
        "(100 MB). Host the file yourself and pass its URL."
    )


def _measure(
    content: FileContent, name: str, copies: list[OpenFile]
) -> tuple[Path | bytes | OpenFile, int, int]:
    """Return where to read the content, the position where it starts, and its length.

    If the content is copied, the copy is also added to `copies`.
    """
    if isinstance(content, bytes | bytearray | memoryview):
        data = content.tobytes() if isinstance(content, memoryview) else bytes(content)
        return data, 0, len(data)
    if isinstance(content, PillowImage | Figure):
        data = _png(content)
        return data, 0, len(data)
    if isinstance(content, Path):
        with content.open("rb") as opened:
            status = os.fstat(opened.fileno())
            if stat.S_ISREG(status.st_mode) and (status.st_size > 0 or not opened.peek(1)):
                return content, 0, status.st_size
            return _spool(opened, name, copies)
    handle: Any = content
    try:
        probe, whole = handle.read(0), False
    except TypeError:  # read() takes no size argument
        probe, whole = handle.read(), True
    if inspect.isawaitable(probe):
        if inspect.iscoroutine(probe):
            probe.close()
        raise FileError(f"{name} is an async file: read it, and pass the bytes")
    if isinstance(probe, str):
        raise FileError(f"{name} is open in text mode: open it in mode 'rb'")
    if not isinstance(probe, bytes):
        raise FileError(f"{name} must return bytes from read(), not {type(probe).__name__}")
    if whole:
        return probe, 0, len(probe)
    if not (callable(getattr(handle, "seekable", None)) and handle.seekable()):
        return _spool(handle, name, copies)
    file = OpenFile.of(handle)
    start, size = file.measure()
    try:
        if size > 0:
            return file, start, size
        if not file.read_at(start, 1):
            if start > 0:  # a common mistake after writing or reading the file
                raise FileError(f"{name} is at its end, with nothing left to send: call seek(0)")
            return file, start, size
        # Some files report a length of 0, such as those in /proc.
        handle.seek(start)
        return _spool(handle, name, copies)
    finally:
        file.close()


def _png(image: PillowImage | Figure) -> bytes:
    """Return an image as PNG. PNG has no CMYK and other modes, which become RGB."""
    written = io.BytesIO()
    if isinstance(image, Figure):
        image.savefig(written, format="png")
        return written.getvalue()
    try:
        image.save(written, format="PNG")
    except OSError:
        written = io.BytesIO()
        image.convert("RGB").save(written, format="PNG")
    return written.getvalue()


def _spool(handle: Readable, name: str, copies: list[OpenFile]) -> tuple[OpenFile, int, int]:
    spool = tempfile.SpooledTemporaryFile(PIECE)  # noqa: SIM115 (the caller reads and closes it)
    size = 0
    try:
        while piece := handle.read(PIECE):
            size += len(piece)
            if size > LARGEST_FILE:
                raise _too_large(name, size)  # noqa: TRY301 (the copy is removed below)
            spool.write(piece)
        if piece is None:
            raise BlockingIOError("the file is non-blocking and has no data")  # noqa: TRY301
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    copy = OpenFile(spool, is_copy=True)
    copies.append(copy)
    return copy, 0, size


def _name(content: FileContent) -> str:
    """Return the file's own name, changed only where it cannot be sent."""
    if isinstance(content, PillowImage | Figure):
        return "image.png"
    # `filename` is that of an upload to a web framework.
    name = content if isinstance(content, os.PathLike) else getattr(content, "filename", None)
    if not isinstance(
        name, os.PathLike | str
    ):  # `filename` is that of an upload to a web framework
        name = getattr(content, "name", None)
    if not isinstance(name, os.PathLike | str | bytes):
        return "file"
    own = Path(os.fsdecode(cast("str", name))).name.encode(errors="replace").decode()
    return _UNSENDABLE.sub("_", own) or "file"
