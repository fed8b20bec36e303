"""How a batch identifies its rows in a checkpoint: by position in a file, by digest elsewhere."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from dashscope._batch.checkpoint.events import Key

POSITIONS_AHEAD: Final = 500
DIGESTS_AHEAD: Final = 256
"""Rows that are read from a checkpoint together."""


def row_key(ref: str, fingerprint: bytes, salt: Any = None) -> bytes:
    """Return the digest that identifies a row.

    Args:
        ref: The model.
        fingerprint: The fingerprint of the row's inputs.
        salt: What else tells rows apart, as a JSON value: the user's key, or the number of the
            occurrence of the same inputs.
    """
    digest = hashlib.sha256(json.dumps([ref, salt], sort_keys=True).encode())
    digest.update(fingerprint)
    return digest.digest()


class Keys(ABC):
    """Returns the key of each row."""

    @abstractmethod
    def key(self, index: int, fingerprint: bytes) -> Key:
        """Return the key of the row at a position."""

    @abstractmethod
    def ahead(self, index: int, key: Key) -> Sequence[Key]:
        """Return the keys to read together, starting with this one."""

    def close(self) -> None:
        """Free what the keys need."""
        return


class Positions(Keys):
    """Rows are identified by their position. Inputs have to be in the same order in each call."""

    def key(self, index: int, fingerprint: bytes) -> Key:
        return index

    def ahead(self, index: int, key: Key) -> Sequence[Key]:
        return range(index, index + POSITIONS_AHEAD)


class KnownKeys(Keys):
    """The keys of all rows are known in advance.

    Args:
        keys: A key for each input.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = keys

    def key(self, index: int, fingerprint: bytes) -> Key:
        return self._keys[index]

    def ahead(self, index: int, key: Key) -> Sequence[Key]:
        return self._keys[index : index + DIGESTS_AHEAD]


class Digests(Keys):
    """Rows are identified by the model, the inputs, and how often the same inputs came before.

    Args:
        ref: The model.
        salt: Distinguishes the rows of this call from those of others. `None` for the usual rows.
    """

    def __init__(self, ref: str, salt: str | None) -> None:
        self._ref = ref
        self._salt = salt
        self._lock = threading.Lock()
        # On disk beyond a few megabytes, so that a batch of any length needs constant memory.
        self._counts = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._counts.execute("PRAGMA journal_mode = OFF")
        self._counts.execute(
            "CREATE TABLE seen (digest BLOB PRIMARY KEY, count INTEGER) WITHOUT ROWID"
        )

    def key(self, index: int, fingerprint: bytes) -> Key:
        with self._lock:
            ((count,),) = self._counts.execute(
                "INSERT INTO seen VALUES (?, 0) ON CONFLICT DO UPDATE SET count = count + 1 "
                "RETURNING count",
                (fingerprint,),
            ).fetchall()
        return row_key(self._ref, fingerprint, [self._salt, count])

    def ahead(self, index: int, key: Key) -> Sequence[Key]:
        return [key]

    def close(self) -> None:
        self._counts.close()
