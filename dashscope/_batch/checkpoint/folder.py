"""`FolderStore`: a checkpoint in a folder that many worker processes share.

Each process appends to its own segment and reads those of the others, so the folder may be on
a network file system. The folder cannot exclude two live workers with the same rows: it only
reports rows that were created twice.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import threading
import time
from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from dashscope._batch.checkpoint import segments
from dashscope._batch.checkpoint.events import (
    Adopted,
    CancelRequested,
    Created,
    Event,
    Finished,
    Intended,
    Key,
    Reset,
)
from dashscope._batch.checkpoint.folder_index import FolderIndex
from dashscope._batch.checkpoint.segments import SegmentWriter
from dashscope._batch.checkpoint.store import SharedStore, StoredRow
from dashscope._common.logging import logger
from dashscope._errors import CheckpointError
from dashscope._runtime import forking

MARKER: Final = "checkpoint.json"
"""The file that makes a folder a checkpoint."""
SCHEMA_VERSION: Final = 1
REFRESH_INTERVAL: Final = 1.0
"""Seconds for which other segments are not read again, unless a decision depends on them."""
DECISION_TIMEOUT: Final = timedelta(seconds=60)
"""How long a create of another live worker may be undecided."""


def prepare(path: str, ref: str) -> str:
    """Create a checkpoint folder if it does not exist, and return its random id.

    Raises:
        CheckpointError: If the folder cannot be used.
    """
    folder = Path(path)
    with _explained(path, "cannot be used as a checkpoint"):
        folder.mkdir(parents=True, exist_ok=True)
        marker = folder / MARKER
        if not marker.exists():
            content = {"schema": SCHEMA_VERSION, "id": secrets.token_hex(16), "ref": ref}
            part = folder / f".{secrets.token_hex(8)}"
            part.write_text(json.dumps(content), "utf-8")
            with suppress(FileExistsError):  # another process was faster
                os.link(part, marker)
            part.unlink()
    content = read_marker(path)
    if content["ref"] != ref:
        raise CheckpointError(
            f"{path} is the checkpoint of a batch of {content['ref']}, not of {ref}. Use another "
            "folder."
        )
    return cast("str", content["id"])


def read_marker(path: str) -> dict[str, Any]:
    """Return what a checkpoint folder says about itself.

    Raises:
        CheckpointError: If the folder is not a checkpoint of this version.
    """
    try:
        content = json.loads((Path(path) / MARKER).read_text("utf-8"))
        schema, _, _ = content["schema"], content["id"], content["ref"]
    except FileNotFoundError:
        raise CheckpointError(f"{path} is not a checkpoint: {MARKER} is missing.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} cannot be used as a checkpoint: {MARKER} is damaged ({error})."
        ) from None
    if schema != SCHEMA_VERSION:
        raise CheckpointError(
            f"{path} was written by a newer version of Dashscope (schema {schema}; this version "
            f"supports {SCHEMA_VERSION}). Update Dashscope, or use another folder."
        )
    return cast("dict[str, Any]", content)


class Folder:
    """A checkpoint folder as this process sees it. Thread-safe.

    Args:
        path: The folder, as the user wrote it.
        id: The random id of the folder.
    """

    def __init__(self, path: str, id: str) -> None:
        self.path = path
        self.id = id
        self.users = 0
        self.lock = threading.RLock()
        self.index = FolderIndex()
        self.held: dict[bytes, FolderStore] = {}
        # Absolute, because the program may change its working directory.
        self.folder = Path(path).absolute()
        self._writer = SegmentWriter(self.folder)
        self._offsets: dict[str, int] = {}
        self._refreshed = float("-inf")

    def refresh(self, *, now: bool = True) -> None:
        """Read what other processes have appended.

        Args:
            now: Whether to read it even if it was read a moment ago.
        """
        if not now and time.monotonic() - self._refreshed < REFRESH_INTERVAL:
            return
        with _explained(self.path, "cannot be read"):
            for path in self.segments():
                if path.name == self._writer.name:
                    continue
                start = self._offsets.get(path.name, 0)
                if path.stat().st_size > start:
                    for changes, end in segments.read(path, start):
                        self.index.apply(changes)
                        self._offsets[path.name] = end
        self._refreshed = time.monotonic()
        for first, second in self.index.duplicates:
            logger.warning(
                "%s: two live workers created the predictions %s and %s for the same row. A folder "
                "cannot prevent this. A database can.",
                self.path,
                first,
                second,
            )
        self.index.duplicates.clear()

    def segments(self) -> list[Path]:
        """Return the segments, oldest first."""
        return sorted(self.folder.glob(f"*{segments.SUFFIX}"))

    def last_write(self) -> float:
        """Return when a process appended something last, in seconds since the epoch."""
        times = [0.0]
        for path in self.segments():
            with suppress(OSError):
                times.append(path.stat().st_mtime)
        return min(max(times), time.time())

    def write(self, events: Iterable[Event | Adopted], *, run: str | None) -> None:
        """Append events of a run to the segment of this process."""
        epochs: dict[Key, int] = {}

        def numbered() -> Generator[tuple[Event | Adopted, int]]:
            for event in events:
                key = cast("bytes", event.key)
                epoch = epochs.get(key) or self.index.epoch(key)
                epochs[key] = epoch + 1 if isinstance(event, Reset) else epoch
                yield event, epoch

        with _explained(self.path, "cannot be written"):
            self.index.apply(self._writer.append(numbered(), run=run))

    def writes(self, segment: str) -> bool:
        """Return whether a segment is the one of this process."""
        return segment == self._writer.name

    @property
    def segment(self) -> str:
        """The name of the segment of this process."""
        return self._writer.name

    def is_in_place(self) -> bool:
        """Return whether others can find what this process writes."""
        return self._writer.is_in_place()

    def close(self) -> None:
        """Close the segment of this process and forget the others."""
        self._writer.close()
        self.index.close()


class _Folders:
    """The folders that this process uses. The last one stays open for the next batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folders: dict[str, Folder] = {}
        forking.know(self)
        atexit.register(self._close_unused)

    def acquire(self, path: str, id: str) -> Folder:
        """Return a folder, which is opened if necessary."""
        real = os.path.realpath(path)
        with self._lock:
            folder = self._folders.get(real)
            if folder is None or folder.id != id or not folder.is_in_place():
                self._folders.pop(real, None)
                self._close_unused()
                folder = self._folders[real] = Folder(path, id)
            folder.users += 1
            return folder

    def release(self, folder: Folder) -> None:
        """Give a folder back."""
        with self._lock:
            folder.users -= 1
            if folder.users == 0 and folder not in self._folders.values():
                folder.close()

    def _close_unused(self) -> None:
        for real, folder in list(self._folders.items()):
            if folder.users == 0:
                del self._folders[real]
                folder.close()

    def loaded_later(self) -> Iterable[str]:
        return ()

    def forget(self) -> None:
        """Start afresh in a forked child: the segments belong to the parent."""
        forking.inherited.extend(self._folders.values())
        self._lock, self._folders = threading.Lock(), {}


_folders = _Folders()


class FolderStore(SharedStore):
    """The rows of one batch in a folder.

    Args:
        path: The folder.
        ref: The model of the batch.
        id: The random id that the driver found in the folder. `None` to create the folder.
        run: The run that the driver may cancel.
    """

    def __init__(self, path: str, ref: str, *, id: str | None, run: str | None) -> None:
        self.name = path
        self._ref = ref
        self._id = id
        self._run = run
        self._folder: Folder | None = None
        self._rows = 0
        self._last_write = 0.0

    @property
    def rows(self) -> int:
        return self._rows

    @property
    def last_write(self) -> float:
        return self._last_write

    def open(self) -> None:
        id = prepare(self.name, self._ref) if self._id is None else self._check_shared(self._id)
        folder = _folders.acquire(self.name, id)
        self._folder = folder
        with folder.lock:
            self._last_write = folder.last_write()
            folder.refresh()
            self._rows = folder.index.counts()["rows"]

    def _check_shared(self, id: str) -> str:
        try:
            found = cast("str", read_marker(self.name)["id"])
        except CheckpointError as error:
            reason = str(error)
        else:
            if found == id:
                return id
            reason = f"it contains another checkpoint than {self.name} of the driver"
        raise CheckpointError(
            f"{self.name} is not shared with this worker: {reason} Use a folder that all workers "
            "mount at the same path, or a database."
        )

    def close(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            with folder.lock:
                for key in [key for key, store in folder.held.items() if store is self]:
                    del folder.held[key]
            _folders.release(folder)

    def read(self, keys: Sequence[Key]) -> dict[Key, StoredRow]:
        folder = self._opened()
        with folder.lock:
            folder.refresh(now=False)
            rows = {row["key"]: row for row in folder.index.read(cast("Sequence[bytes]", keys))}
            found: dict[Key, StoredRow] = {}
            others: list[Adopted] = []
            for key in cast("Sequence[bytes]", keys):
                row = rows.get(key)
                is_finished = row is not None and row["segment"] is not None
                holder = None if is_finished else folder.held.setdefault(key, self)
                is_busy = holder not in (None, self)
                if row is not None:
                    found[key] = _stored(row, is_busy=is_busy)
                    if holder is self and self._run not in (None, row["run"]):
                        others.append(Adopted(key))
                elif is_busy:
                    found[key] = StoredRow(key=key, is_busy=True)
            if others:  # the driver of this run may cancel them from now on
                folder.write(others, run=self._run)
            return found

    def read_outcomes(self, keys: Sequence[Key]) -> dict[Key, str]:
        folder = self._opened()
        found: dict[Key, str] = {}
        with folder.lock, _explained(self.name, "cannot be read"), ExitStack() as stack:
            files: dict[str, BinaryIO] = {}
            for row in folder.index.read(cast("Sequence[bytes]", keys)):
                name = row["segment"]
                if name not in files:
                    files[name] = stack.enter_context(Path(folder.folder, name).open("rb"))
                files[name].seek(row["start"])
                content = files[name].read(row["length"])
                found[row["key"]] = content.decode("utf-8", "replace")
        return found

    def write(self, events: Iterable[Event]) -> None:
        folder = self._opened()
        with folder.lock:
            some = list(events)
            folder.write(some, run=self._run)
            for event in some:
                if isinstance(event, Finished):
                    folder.held.pop(cast("bytes", event.key), None)

    def claim(self, event: Created) -> bool:
        folder, key = self._opened(), cast("bytes", event.key)
        with folder.lock:
            folder.refresh()
            if not super().claim(event):
                return False
            folder.refresh()
            rivals = [
                row["writer"]
                for row in folder.index.with_predictions([event.prediction])
                if row["key"] != key
            ]
            if all(writer > folder.segment for writer in rivals):
                return True
            # Another worker claimed the prediction at the same time. One of the two gives way.
            (row,) = folder.index.read([key])
            intended = Intended(
                key=key,
                digest=b"",
                preview="",
                sent=row["sent"],
                at=row["intended_at"],
                clock_skew=row["clock_skew"],
            )
            folder.write([Reset(key), intended], run=self._run)
            return False

    def recorded_ids(self, ids: Collection[str]) -> set[str]:
        folder = self._opened()
        with folder.lock:
            folder.refresh()
            return {row["prediction"] for row in folder.index.with_predictions(ids)}

    def undecided(self, sent: Collection[bytes], keys: Collection[Key]) -> set[bytes]:
        folder, own = self._opened(), set(keys)
        with folder.lock:
            folder.refresh()
            return {
                row["sent"]
                for row in folder.index.with_intent(sent)
                if row["key"] not in own and self._may_be_created(row)
            }

    def _may_be_created(self, row: Any) -> bool:
        """Return whether another live caller may be creating a row's prediction now."""
        folder = self._opened()
        if folder.writes(row["writer"]):
            return folder.held.get(row["key"], self) is not self
        age = datetime.now(UTC) - datetime.fromisoformat(row["intended_at"])
        return age < DECISION_TIMEOUT and segments.may_be_alive(row["writer"])

    def problem(self) -> str | None:
        if self._opened().is_in_place():
            return None
        return (
            f"{self.name} or a file in it was deleted, moved or replaced while it was in use. If "
            "it was moved, pass its new path to resume. Otherwise, start again with another "
            "checkpoint."
        )

    def is_stopped(self) -> bool:
        return self._run is not None and self._stop_file.exists()

    @property
    def _stop_file(self) -> Path:
        return Path(self.name) / f"{self._run}.stopped"

    def stop(self) -> None:
        with _explained(self.name, "cannot be written"):
            self._stop_file.touch()

    def request_cancel(self) -> Sequence[StoredRow]:
        folder = self._opened()
        with folder.lock:
            folder.refresh()
            rows = [_stored(row, is_busy=False) for row in folder.index.unfinished(self._run)]
            cancels = [CancelRequested(row.key) for row in rows if row.prediction is not None]
            if cancels:
                folder.write(cancels, run=self._run)
            return rows

    def check_can_create(self) -> None:
        if self.is_stopped():
            raise CheckpointError(f"The run was canceled. {self.name} has its finished rows.")

    def _opened(self) -> Folder:
        if self._folder is None:
            raise CheckpointError(f"{self.name} is closed because the batch was closed.")
        return self._folder


def _stored(row: Any, *, is_busy: bool) -> StoredRow:
    return StoredRow(
        key=row["key"],
        sent=row["sent"],
        intended_at=row["intended_at"],
        clock_skew=row["clock_skew"],
        prediction=row["prediction"],
        created_at=row["created_at"],
        cancel_requested=row["cancel_requested"],
        is_finished=row["segment"] is not None,
        is_busy=is_busy,
    )


@contextmanager
def _explained(path: str, problem: str) -> Generator[None]:
    """Turn an `OSError` into a `CheckpointError` that names the folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        return
    raise CheckpointError(f"{path} {problem}: {reason}.")
