"""The data folder: its layout, and the files in it. File names are always generated ids."""

import base64
import contextlib
import hashlib
import hmac
import json
import logging
import os
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from attrs import frozen

from dashscope._files.local_file import Readable
from dashscope._runtime.threads import run_in_thread
from dashscope.local.values import OWNER, File, new_id, now, parse_timestamp, timestamp

logger = logging.getLogger("dashscope.local")

LIFETIME: Final = timedelta(hours=24)
FILE_LIMIT: Final = 100 * 1024 * 1024


class FileTooLargeError(Exception):
    """A file is larger than ``FILE_LIMIT``."""


@frozen
class DataFolder:
    """The paths of a data folder."""

    root: Path

    def create(self) -> None:
        """Create missing folders. Only the current user can read them."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.database.exists() or not any(self.root.iterdir()):
            # The folder belongs to the server alone.
            make_private(self.root, 0o700)
        for part in (self.files, self.code, self.weights, self.jobs):
            part.mkdir(mode=0o700, exist_ok=True)
            make_private(part, 0o700)
        # SQLite gives its other files the permissions of the database. It contains keys.
        self.database.touch(mode=0o600)
        for path in self.root.glob(f"{self.database.name}*"):
            make_private(path, 0o600)

    @property
    def database(self) -> Path:
        """The database."""
        return self.root / "dashscope.db"

    @property
    def server_info(self) -> Path:
        """The file in which a running server describes itself to other servers."""
        return self.root / "server.json"

    @property
    def files(self) -> Path:
        """The folder of uploads and output files."""
        return self.root / "files"

    @property
    def code(self) -> Path:
        """The folder with the code of all versions."""
        return self.root / "code"

    @property
    def weights(self) -> Path:
        """The folder with the weights from trainings."""
        return self.root / "weights"

    @property
    def jobs(self) -> Path:
        """The folder with one folder per running job, deleted when the job finishes."""
        return self.root / "jobs"

    def write_server_info(self, address: str) -> None:
        """Write which server uses this folder."""
        self.server_info.write_text(json.dumps({"pid": os.getpid(), "address": address}))

    def read_server_info(self) -> str:
        """Describe the server that uses this folder."""
        try:
            note: dict[str, Any] = json.loads(self.server_info.read_text())
            return f"process {note['pid']} at {note['address']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "an unknown process"

    def sweep(self, known: Iterable[str]) -> None:
        """Remove the leftovers of a killed server: job folders, and files without a row."""
        for leftover in self.jobs.iterdir():
            remove(leftover)
        names = set(known)
        for path in self.files.iterdir():
            if path.name not in names and path.is_file():
                path.unlink()


def make_private(path: Path, mode: int) -> None:
    """Let only the current user read a file or folder.

    A volume of a container may belong to another user, or have no permissions. The server then uses
    the volume as it is.
    """
    try:
        path.chmod(mode)
    except PermissionError as error:
        logger.warning("other users may be able to read %s: %s", path, error.strerror)


def remove_empty(folder: Path) -> bool:
    """Delete a folder if it is empty. Return whether it was."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def remove(path: Path) -> bool:
    """Delete a file or folder. Return whether it is gone.

    Subfolders may be read-only. They are moved up before they are deleted, so that neither the
    recursion limit nor the maximum length of a path applies.
    """
    gone = True
    found = [path]
    while found:
        folder = found.pop()
        try:
            if not is_folder(folder):
                folder.unlink(missing_ok=True)
                continue
            make_writable(folder)
            for child in list(folder.iterdir()):
                with contextlib.suppress(OSError):
                    if is_folder(child):
                        make_writable(child)
                        found.append(child.rename(path.with_name(new_id())))
                    else:
                        child.unlink()
            folder.rmdir()
        except OSError:
            gone = False
    return gone


def is_folder(path: Path) -> bool:
    """Return whether a path is a folder, and not a link to one."""
    return path.is_dir() and not path.is_symlink()


def make_writable(folder: Path) -> None:
    """Make a folder writable: otherwise it cannot be moved, nor can its contents be deleted."""
    with contextlib.suppress(OSError):
        folder.chmod(0o700)


async def store_upload(content: Readable, path: Path) -> tuple[int, str]:
    """Copy an upload to its final path. Return its size and SHA-256 digest.

    Raises:
        FileTooLargeError: The upload is larger than ``FILE_LIMIT``.
    """

    def copy() -> tuple[int, str]:
        digest = hashlib.sha256()
        size = 0
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as kept:
                while chunk := content.read(256 * 1024):
                    size += len(chunk)
                    if size > FILE_LIMIT:
                        raise FileTooLargeError
                    digest.update(chunk)
                    kept.write(chunk)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return size, digest.hexdigest()

    return await run_in_thread(copy)


@frozen
class Signer:
    """Signs URLs and session cookies that work without a token."""

    key: bytes

    def signature(self, file_id: str, expiry: int) -> str:
        """Return the signature of a download URL, over owner, id and expiry."""
        message = f"{OWNER} {file_id} {expiry}".encode()
        return base64.b64encode(hmac.digest(self.key, message, "sha256")).decode()

    def query(self, file_id: str, expires_at: str) -> str:
        """Return the query of a file's download URL, valid until the file expires."""
        expiry = int(parse_timestamp(expires_at).timestamp())
        return urlencode(
            {"owner": OWNER, "expiry": expiry, "signature": self.signature(file_id, expiry)}
        )

    def stream_token(self, job_id: str) -> str:
        """Return the secret part of the URL of a job's stream."""
        return self._sign(f"stream {job_id}")

    def session(self, ends: int, token: str) -> str:
        """Return the signature of a session cookie that is valid until a time."""
        return self._sign(f"session {ends} {token}")

    def _sign(self, message: str) -> str:
        digest = hmac.digest(self.key, message.encode(), "sha256")
        return base64.b32encode(digest[:20]).decode().lower()


def expiry_of_new_file() -> str:
    """Return the expiry of a file created now."""
    return timestamp(now() + LIFETIME)


def etag(file: File) -> str:
    """Return the entity tag of a file's content."""
    return f'"{file.sha256[:32]}"'
