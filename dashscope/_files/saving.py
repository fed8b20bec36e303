"""Saving downloads: names that are safe in any folder, and files that appear only when complete."""

from __future__ import annotations

import os
import re
import secrets
from email.message import Message
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from dashscope import types
from dashscope._common.media_types import ending_of
from dashscope._common.urls import is_data, path_of
from dashscope._common.validation import check_flag, shown
from dashscope._errors import FileError

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
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return "output" + ending_of(kind)


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


def open_partial(target: Path) -> tuple[int, str]:
    """Open a new hidden file beside the target, to write to before publishing it."""
    partial = target.parent / f".{target.name[:50]}.{secrets.token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(partial, flags, 0o666), os.fspath(partial)


def write(handle: int, chunks: list[bytes]) -> None:
    """Write all chunks."""
    for chunk in chunks:
        view = memoryview(chunk)
        while view:
            view = view[os.write(handle, view) :]


def publish(partial: str, target: Path, overwrite: bool) -> None:
    """Give the complete file its final name.

    Raises:
        FileError: If the file exists and `overwrite` is false.
    """
    if overwrite:
        os.replace(partial, target)  # noqa: PTH105
        return
    try:
        os.link(partial, target)
    except FileExistsError:
        exists = True
    except OSError:  # a file system without hard links
        exists = target.exists()
        if not exists:
            os.replace(partial, target)  # noqa: PTH105
    else:
        exists = False
    if exists:
        raise FileError(f"{target} already exists: pass overwrite=True to replace it")
