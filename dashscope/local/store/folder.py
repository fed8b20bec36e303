"""The data folder: where its parts are, and the files in it, whose names are always ids of ours."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import shutil
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlencode

from attrs import frozen

from dashscope.local.values import OWNER, File, now, parse_timestamp, timestamp

LIFETIME: Final = timedelta(hours=24)
FILE_LIMIT: Final = 100 * 1024 * 1024


class FileTooLargeError(Exception):
    """A file has more bytes than the API takes."""


@frozen
class DataFolder:
    """The paths of a data folder."""

    root: Path

    def create(self) -> None:
        """Create what is missing; only this user can read it."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in (self.files, self.code, self.weights, self.jobs):
            part.mkdir(exist_ok=True)

    @property
    def database(self) -> Path:
        """The database."""
        return self.root / "dashscope.db"

    @property
    def server_info(self) -> Path:
        """What the running server says about itself to a second one."""
        return self.root / "server.json"

    @property
    def files(self) -> Path:
        """Uploads and outputs."""
        return self.root / "files"

    @property
    def code(self) -> Path:
        """The code of every version."""
        return self.root / "code"

    @property
    def weights(self) -> Path:
        """What trainings made."""
        return self.root / "weights"

    @property
    def jobs(self) -> Path:
        """A folder for each running job, gone after it."""
        return self.root / "jobs"

    def write_server_info(self, address: str) -> None:
        """Say which server has this folder."""
        self.server_info.write_text(json.dumps({"pid": os.getpid(), "address": address}))

    def read_server_info(self) -> str:
        """Return who has this folder, in words."""
        try:
            note: dict[str, Any] = json.loads(self.server_info.read_text())
            return f"process {note['pid']} at {note['address']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "an unknown process"

    def sweep(self, known: Iterable[str]) -> None:
        """Remove what a killed server left: the folders of its jobs, files without a row."""
        for leftover in self.jobs.iterdir():
            shutil.rmtree(leftover, ignore_errors=True)
        names = set(known)
        for path in self.files.iterdir():
            if path.name not in names:
                path.unlink()


async def store_upload(content: BinaryIO, path: Path) -> tuple[int, str]:
    """Copy an upload to where it stays; return its size and SHA-256.

    Raises:
        FileTooLargeError: It has more than 100 MB.
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

    return await asyncio.to_thread(copy)


@frozen
class Signer:
    """Signs the URLs under which a file can be had without a token."""

    key: bytes

    def signature(self, file_id: str, expiry: int) -> str:
        """Return the signature the contract describes: over owner, id and expiry."""
        message = f"{OWNER} {file_id} {expiry}".encode()
        return base64.b64encode(hmac.digest(self.key, message, "sha256")).decode()

    def query(self, file_id: str, expires_at: str) -> str:
        """Return the query of a file's download URL, good until the file expires."""
        expiry = int(parse_timestamp(expires_at).timestamp())
        return urlencode(
            {"owner": OWNER, "expiry": expiry, "signature": self.signature(file_id, expiry)}
        )

    def stream_token(self, job_id: str) -> str:
        """Return what makes the URL of a job's stream impossible to guess."""
        return self._mark(f"stream {job_id}")

    def session(self, ends: int, token: str) -> str:
        """Return what shows that someone had entered the token, until a time."""
        return self._mark(f"session {ends} {token}")

    def _mark(self, message: str) -> str:
        digest = hmac.digest(self.key, message.encode(), "sha256")
        return base64.b32encode(digest[:20]).decode().lower()


def expiry_of_new_file() -> str:
    """Return when a file made now expires."""
    return timestamp(now() + LIFETIME)


def etag(file: File) -> str:
    """Return the entity tag of a file's content."""
    return f'"{file.sha256[:32]}"'
