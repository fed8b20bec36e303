"""Saving downloads: names that are safe in any folder, and files that appear only when complete."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from email.message import Message
from pathlib import Path
from typing import Final, cast
from urllib.parse import unquote

from dashscope import types
from dashscope._common.media_types import ending_of
from dashscope._common.urls import is_data, path_of
from dashscope._common.validation import check_flag, shown
from dashscope._errors import FileError
from dashscope._runtime.resource_lock import ResourceLock

LONGEST_NAME: Final = 200
"""The longest file name, in bytes. File systems allow 255."""
LONGEST_ENDING: Final = 20

_UNSAFE_IN_NAMES = re.compile(
    r"[\x00-\x1f\x7f-\x9f/\\:*?\"<>|"
    "\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"  # bidi controls, separators
    "]"
)
_UNSAFE_AT_THE_START = re.compile(r"^\s*[.-]+")
"""Would make a hidden file, or look like an option of a command."""


def name_of(url: str, headers: types.Headers) -> str:
    """Return a name for a file, never a path: the server's, or the end of the URL."""
    name = _named(headers)
    if not name and not is_data(url):
        name = unquote(path_of(url)).rpartition("/")[2]
    if safe := safe_name(name):
        return safe
    return "output" + ending_of(headers.get("content-type", ""))


def _named(headers: types.Headers) -> str:
    message = Message()
    message["content-disposition"] = headers.get("content-disposition", "")
    message["content-type"] = headers.get("content-type", "")
    try:
        return message.get_filename() or ""
    except (LookupError, TypeError, ValueError):  # malformed continuations
        return ""


def safe_name(name: str) -> str:
    """Return a file name that is safe in any folder, or an empty text.

    It contains no separator, control character or bidirectional control, and starts with neither a
    dot nor a dash.
    """
    if not name.strip(". "):
        return ""
    name = _UNSAFE_IN_NAMES.sub("_", name.encode(errors="replace").decode())
    name = _UNSAFE_AT_THE_START.sub("_", name)
    if len(name.encode()) > LONGEST_NAME:
        stem, dot, end = name.rpartition(".")
        end = dot + end
        if not stem or len(end.encode()) > LONGEST_ENDING:
            stem, end = name, ""
        name = stem.encode()[: LONGEST_NAME - len(end.encode())].decode(errors="ignore") + end
    return name


def check(path: str | os.PathLike[str], *, overwrite: bool) -> str:
    """Check the arguments of a save. Return the path, with `~` expanded."""
    check_flag("overwrite", overwrite)
    text = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(text, str):
        raise TypeError(f"path must be a str or a pathlib.Path, not {shown(path)}")
    return os.path.expanduser(text)  # noqa: PTH111 (a Path would drop a slash at the end)


def target(path: str, name: str) -> Path:
    """Return the file to save to: `path`, or `name` in it if it is a folder or ends in a slash."""
    file = Path(path)
    return file / name if path.endswith(("/", os.sep)) or file.is_dir() else file


def make_folder(folder: Path) -> None:
    """Create a folder if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)


class PartialFile:
    """A new hidden file beside its target. It gets the target's name when it is complete.

    Owns the descriptor, and closes it once: when the file is complete, or after `discard()` when
    no thread is writing any more.

    Args:
        target: The final path.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._path = target.parent / f".{target.name[:50]}.{secrets.token_hex(8)}.part"
        self._lock = ResourceLock()
        self._descriptor: int | None = None
        self._is_discarded = False

    def open(self) -> None:
        """Create the file."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with self._lock.held():
            self._check()
            self._descriptor = os.open(self._path, flags, 0o666)

    def write(self, chunks: list[bytes]) -> None:
        """Write all chunks."""
        with self._lock.held():
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    self._check()
                    view = view[os.write(cast("int", self._descriptor), view) :]

    def close(self) -> None:
        """Close the file, which is complete."""
        with self._lock.held():
            self._check()
            self._close()

    def publish(self, overwrite: bool) -> None:
        """Give the closed file its final name.

        Raises:
            FileError: If the target exists and `overwrite` is false.
        """
        with self._lock.held():
            self._check()
            _rename(self._path, self._target, overwrite=overwrite)

    def discard(self) -> None:
        """Close and remove the file, unless it was published. Never waits for another thread."""
        self._is_discarded = True
        self._lock.run_when_free(self._remove)

    def _check(self) -> None:
        """Raise if the caller has given up, and nobody needs the file any more."""
        if self._is_discarded:
            raise FileError(f"{self._target} is no longer needed")

    def _remove(self) -> None:
        # The error or cancellation that the caller is raising matters more than these.
        with contextlib.suppress(OSError):
            self._close()
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _rename(partial: Path, target: Path, *, overwrite: bool) -> None:
    if overwrite:
        partial.replace(target)
        return
    try:
        target.hardlink_to(partial)
    except FileExistsError:
        exists = True
    except OSError:  # a file system without hard links
        exists = target.exists()
        if not exists:
            partial.replace(target)
    else:
        exists = False
    if exists:
        raise FileError(f"{target} already exists: pass overwrite=True to replace it")
