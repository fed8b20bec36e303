"""The stores under test, and ways to change the events that they recorded."""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from dashscope._batch.checkpoint.segments import SUFFIX
from tests.batch.checkpoints import change


class TestedStore(ABC):
    """A checkpoint whose rows a test can change after closing it.

    Attributes:
        checkpoint: What to pass as `checkpoint=`.
    """

    __test__: ClassVar[bool] = False
    checkpoint: str

    @abstractmethod
    def forget(self, index: int, *, id: bool = False) -> None:
        """Forget how a row finished.

        Args:
            index: The place of its first record. With `concurrency=1`, it is the index of the row.
            id: Whether to forget the id of the prediction as well.
        """

    @abstractmethod
    def make_old(self) -> None:
        """Make all records look old."""


class TestedFile(TestedStore):
    """An SQLite file."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = str(folder / "run.sqlite")

    def forget(self, index: int, *, id: bool = False) -> None:
        columns = "outcome = NULL, prediction = NULL" if id else "outcome = NULL"
        change(Path(self.checkpoint), f"UPDATE row SET {columns} WHERE position = {index}")

    def make_old(self) -> None:
        sql = "UPDATE row SET intended_at = '2020-01-01T00:00:00+00:00' WHERE prediction IS NULL"
        change(Path(self.checkpoint), sql)
        old = time.time() - 100
        os.utime(self.checkpoint, (old, old))


class TestedFolder(TestedStore):
    """A folder of segments."""

    def __init__(self, folder: Path) -> None:
        self.checkpoint = str(folder / "run") + "/"

    def events(self) -> list[tuple[list[object], str]]:
        """Return all events and finished predictions, in order."""
        found: list[tuple[list[object], str]] = []
        for path in sorted(Path(self.checkpoint).glob(f"*{SUFFIX}")):
            for line in path.read_text().splitlines():
                head, _, outcome = line.partition("\t")
                found.append((json.loads(head), outcome))
        return found

    def forget(self, index: int, *, id: bool = False) -> None:
        events = self.events()
        key = list(dict.fromkeys(str(event[1]) for event, _ in events))[index]
        kinds = ("finished", "created") if id else ("finished",)
        self._replace(
            [item for item in events if item[0][1] != key or item[0][0] not in kinds],
        )

    def make_old(self) -> None:
        events = self.events()
        for event, _ in events:
            if event[0] == "intended":
                event[4] = "2020-01-01T00:00:00+00:00"
        self._replace(events)

    def _replace(self, events: list[tuple[list[object], str]]) -> None:
        """Replace all segments by one segment of a process that has ended."""
        (old, *more) = sorted(Path(self.checkpoint).glob(f"*{SUFFIX}"))
        lines = [
            json.dumps(head) + (f"\t{outcome}" if outcome else "") + "\n"
            for head, outcome in events
        ]
        time_, node, _, _ = old.name.split("-")
        new = old.with_name(f"{time_}-{node}-{2**22 + 1}-{os.urandom(4).hex()}{SUFFIX}")
        new.write_text("".join(lines))
        for path in (old, *more):
            path.unlink()
        past = time.time() - 100
        os.utime(new, (past, past))
