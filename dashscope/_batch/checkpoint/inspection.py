"""What checkpoints contain, and how their finished rows are removed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from attrs import frozen

from dashscope._batch.checkpoint import folder as folders
from dashscope._batch.checkpoint import segments
from dashscope._batch.checkpoint.events import Created, Event, Finished, Intended
from dashscope._batch.checkpoint.location import Location, parse
from dashscope._batch.checkpoint.sqlite import APPLICATION_ID, explained
from dashscope._errors import CheckpointError

ENDED: Final = 600.0
"""Seconds without a write after which a worker of another machine is taken to have ended."""
_COUNTS: Final = (
    "count(*) AS rows, count(outcome) AS finished, "
    "count(CASE WHEN outcome IS NULL THEN prediction END) AS running, "
    "count(CASE WHEN prediction IS NULL THEN intended_at END) AS unknown"
)


@frozen(kw_only=True)
class CheckpointSummary:
    """What a checkpoint contains.

    Attributes:
        checkpoint: The path or URL.
        kind: `file`, `folder` or `database`.
        ref: The model.
        rows: The number of rows.
        finished: How many of them have finished.
        running: How many of them had a running prediction when the checkpoint was last written.
        unknown: How many of them may have a prediction whose id was not recorded.
        duplicates: How many of them were created twice by two live workers.
        size: The size in bytes.
        last_write: When the checkpoint was last written.
    """

    checkpoint: str
    kind: str
    ref: str
    rows: int
    finished: int
    running: int
    unknown: int
    duplicates: int = 0
    size: int
    last_write: datetime | None


def find(place: str) -> list[CheckpointSummary]:
    """Return the checkpoints in a folder of files, or those at a path or URL.

    Raises:
        CheckpointError: If a checkpoint cannot be read.
    """
    location = parse(place)
    if location.kind != "folder" or (Path(place) / folders.MARKER).exists():
        return summaries(location)
    found: list[CheckpointSummary] = []
    for path in sorted(Path(place).iterdir()):
        if path.is_dir() and (path / folders.MARKER).exists():
            found += summaries(parse(f"{path}{os.sep}"))
        elif path.is_file() and _is_checkpoint(path):
            found += summaries(parse(path))
    return found


def summaries(location: Location) -> list[CheckpointSummary]:
    """Return what a checkpoint contains: one summary, or one for each model of a database.

    Raises:
        CheckpointError: If the checkpoint cannot be read.
    """
    if location.kind == "database":
        from dashscope._batch.checkpoint import postgres

        return [
            CheckpointSummary(checkpoint=location.name, kind="database", **row)
            for row in postgres.summaries(location)
        ]
    if location.kind == "folder":
        return [_of_folder(location.address)]
    return [_of_file(location.address)]


def prune(location: Location, *, ref: str | None, before: datetime | None) -> int:
    """Remove finished rows, so that a later run creates them again.

    Args:
        location: The checkpoint.
        ref: Remove only the rows of this model.
        before: Remove only rows that were created before this time.

    Returns:
        How many rows were removed.

    Raises:
        CheckpointError: If the checkpoint cannot be written, or is in use.
    """
    if location.kind == "database":
        from dashscope._batch.checkpoint import postgres

        return postgres.prune(location, ref, before)
    (summary,) = summaries(location)
    if ref is not None and ref != summary.ref:
        return 0
    if location.kind == "folder":
        return _prune_folder(location.address, before)
    return _prune_file(location.address, before)


def _is_checkpoint(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(72)[68:72] == APPLICATION_ID.to_bytes(4, "big")


def _of_file(path: str) -> CheckpointSummary:
    if not Path(path).is_file() or not _is_checkpoint(Path(path)):
        raise CheckpointError(f"{path} is not a checkpoint.")
    with explained(path, "cannot be read"), closing(sqlite3.connect(path, timeout=1.0)) as opened:
        opened.row_factory = sqlite3.Row
        (ref,) = opened.execute("SELECT ref FROM batch").fetchone()
        row = opened.execute(f"SELECT {_COUNTS} FROM row").fetchone()  # noqa: S608 (a constant)
    files = [Path(name) for name in (path, f"{path}-wal") if Path(name).exists()]
    return CheckpointSummary(
        checkpoint=path,
        kind="file",
        ref=ref,
        **dict(row),
        size=sum(file.stat().st_size for file in files),
        last_write=_time(max(file.stat().st_mtime for file in files)),
    )


def _of_folder(path: str) -> CheckpointSummary:
    marker = folders.read_marker(path)
    folder = folders.Folder(path, marker["id"])
    try:
        folder.refresh()
        counts = folder.index.counts()
        sizes = [segment.stat().st_size for segment in folder.segments()]
        last = folder.last_write()
    finally:
        folder.close()
    return CheckpointSummary(
        checkpoint=path,
        kind="folder",
        ref=marker["ref"],
        **counts,
        size=sum(sizes),
        last_write=_time(last) if sizes else None,
    )


def _prune_file(path: str, before: datetime | None) -> int:
    where = "outcome IS NOT NULL"
    values = [] if before is None else [before.isoformat()]
    if before is not None:
        where += " AND intended_at < ?"
    with (
        explained(path, "cannot be written"),
        closing(sqlite3.connect(path, timeout=1.0)) as opened,
    ):
        with opened:
            count = opened.execute(f"DELETE FROM row WHERE {where}", values).rowcount  # noqa: S608
        opened.execute("VACUUM")
    return count


def _prune_folder(path: str, before: datetime | None) -> int:
    """Copy the remaining rows to a new segment, and delete the others."""
    folder = folders.Folder(path, folders.read_marker(path)["id"])
    try:
        old = folder.segments()
        now = datetime.now(UTC).timestamp()
        for segment in old:
            is_recent = now - segment.stat().st_mtime < ENDED
            if is_recent and segments.may_be_alive(segment.name):
                raise CheckpointError(
                    f"{path} may be in use by the writer of {segment.name}. Stop its workers, or "
                    f"wait until {ENDED / 60:.0f} minutes have passed since its last write."
                )
        folder.refresh()
        writer, count = segments.SegmentWriter(folder.folder), 0
        try:
            for row in folder.index.all():
                is_old = before is None or _is_before(row["intended_at"], before)
                if row["segment"] is not None and is_old:
                    count += 1
                else:
                    writer.append(_events(folder, row), run=row["run"])
        finally:
            writer.close()
        for segment in old:
            segment.unlink()
    finally:
        folder.close()
    return count


def _events(folder: folders.Folder, row: Any) -> Iterator[tuple[Event, int]]:
    """Return the events that make a row what it is."""
    key, epoch = cast("bytes", row["key"]), cast("int", row["epoch"])
    if row["intended_at"] is not None:
        yield Intended(key, b"", "", row["sent"], row["intended_at"], row["clock_skew"]), epoch
    if row["segment"] is not None:
        with Path(folder.folder, row["segment"]).open("rb") as file:
            file.seek(row["start"])
            outcome: bytes = file.read(row["length"])
        yield Finished(key, row["prediction"], outcome.decode()), epoch
    elif row["prediction"] is not None:
        yield Created(key, row["prediction"], row["created_at"]), epoch


def _is_before(text: str | None, before: datetime) -> bool:
    return text is not None and datetime.fromisoformat(text) < before


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
