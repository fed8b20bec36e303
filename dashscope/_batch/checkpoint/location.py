"""`Location`: where a checkpoint is, from what the user passes as `checkpoint=`."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import Any, Literal, cast

from attrs import frozen

from dashscope._batch.checkpoint.store import Store
from dashscope._common.validation import shown

DATABASE_SCHEMES = ("postgresql://", "postgres://")


@frozen(kw_only=True)
class Location:
    """Where a checkpoint is. It can be pickled.

    Attributes:
        kind: What keeps the rows.
        address: The path or the URL.
        id: The random id that the driver found in the folder. `None` outside of engines.
        run: Identifies the rows that the driver of an engine may cancel.
        salt: Distinguishes the rows of this call from all others. `None` to resume earlier calls.
        leaves_running: Whether an early exit leaves predictions running for a retry.
    """

    kind: Literal["file", "folder", "database"]
    address: str
    id: str | None = None
    run: str | None = None
    salt: str | None = None
    leaves_running: bool = False

    @property
    def name(self) -> str:
        """The address without a password, for messages."""
        return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", self.address)

    @property
    def is_shared(self) -> bool:
        """Whether several processes may use the checkpoint at the same time."""
        return self.kind != "file"

    def store(self, ref: str, *, by_digest: bool) -> Store:
        """Return the store, which is not open yet.

        Args:
            ref: The model.
            by_digest: Whether rows of a file are identified by digest rather than by position.
        """
        if self.kind == "database":
            from dashscope._batch.checkpoint.postgres import PostgresStore

            return PostgresStore(self, ref)
        if self.kind == "folder":
            from dashscope._batch.checkpoint.folder import FolderStore

            return FolderStore(self.address, ref, id=self.id, run=self.run)
        from dashscope._batch.checkpoint.sqlite import SqliteStore

        return SqliteStore(self.address, ref, "digest" if by_digest else "position")


def parse(checkpoint: Any) -> Location:
    """Return the location of a checkpoint: a file, a folder, or a database.

    Raises:
        TypeError: If it is not a path or a URL.
    """
    is_path = isinstance(checkpoint, str | os.PathLike)
    address: Any = os.fspath(cast("str", checkpoint)) if is_path else None
    if not isinstance(address, str) or not address:
        raise TypeError(
            "checkpoint must be the path of a file, such as 'run.sqlite', the path of a folder, "
            f"such as 'run/', or the URL of a database, such as 'postgresql://host/name', not "
            f"{shown(checkpoint)}"
        )
    if address.startswith(DATABASE_SCHEMES):
        return Location(kind="database", address=address)
    if address.endswith(("/", os.sep)) or Path(address).is_dir():
        return Location(kind="folder", address=address)
    return Location(kind="file", address=address)


def new_id() -> str:
    """Return a random id of a run."""
    return secrets.token_hex(8)
