"""Segments of a checkpoint folder: append-only files, each with a single writer.

A line is a JSON array: the kind of event, the key, the epoch, and values. The line of a finished
prediction continues with a tab and the prediction, which readers skip until someone needs it.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import socket
import time
from base64 import b64decode, b64encode
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, Final

from dashscope._batch.checkpoint.events import (
    Adopted,
    CancelRequested,
    Created,
    Event,
    Finished,
    Intended,
    Reset,
    SkewKnown,
)
from dashscope._batch.checkpoint.folder_index import Change
from dashscope._errors import CheckpointError

SUFFIX: Final = ".segment"
READ_SIZE: Final = 1024 * 1024


def new_name() -> str:
    """Return the name of a segment of this process."""
    return f"{time.time_ns():x}-{_node()}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"


def may_be_alive(name: str) -> bool:
    """Return whether the process that writes a segment may still be running."""
    _, node, pid, _ = name.removesuffix(SUFFIX).split("-")
    if node != _node():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _node() -> str:
    """Return what identifies the machine, its boot, and the namespace of its process ids."""
    facts = [socket.gethostname()]
    try:
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]


def encode(event: Event | Adopted, epoch: int, run: str | None) -> tuple[bytes, bytes]:
    """Return an event as a line without its end: the head, and the finished prediction.

    Args:
        event: The event.
        epoch: The epoch of its row.
        run: The run of an engine that the event belongs to.
    """
    assert isinstance(event.key, bytes)
    key, outcome = b64encode(event.key).decode(), b""
    match event:
        case Intended(sent=sent, at=at, clock_skew=skew):
            text = None if sent is None else b64encode(sent).decode()
            values: list[Any] = ["intended", key, epoch, text, at, skew, run]
        case SkewKnown(clock_skew=skew):
            values = ["skew", key, epoch, skew]
        case Created(prediction=prediction, at=at):
            values = ["created", key, epoch, prediction, at]
        case Finished(prediction=prediction, outcome=text):
            values, outcome = ["finished", key, epoch, prediction], text.encode()
        case CancelRequested():
            values = ["cancel", key, epoch]
        case Reset():
            values = ["reset", key, epoch + 1]
        case Adopted():
            values = ["run", key, epoch, run]
    return json.dumps(values, separators=(",", ":")).encode(), outcome


def decode(head: bytes, segment: str, start: int, length: int) -> Change:
    """Return the change that a line describes.

    Args:
        head: The line up to the finished prediction.
        segment: The name of the segment.
        start: Where the finished prediction starts in the segment.
        length: The length of the finished prediction.

    Raises:
        ValueError: If the line is damaged.
        TypeError: If a value has another type.
    """
    kind, text, epoch, *rest = json.loads(head)
    key, values = b64decode(text, validate=True), dict[str, Any]()
    match kind, rest:
        case "intended", [sent, at, skew, run]:
            values = {"intended_at": at, "clock_skew": skew, "run": run, "writer": segment}
            values["sent"] = None if sent is None else b64decode(sent, validate=True)
        case "skew", [skew]:
            values = {"clock_skew": skew}
        case "created", [str() as prediction, at]:
            values = {"prediction": prediction, "created_at": at, "writer": segment}
        case "finished", [str() as prediction]:
            values = {"prediction": prediction, "cancel_requested": 0}
            values |= {"segment": segment, "start": start, "length": length}
        case "run", [run]:
            values = {"run": run}
        case "cancel", []:
            values = {"cancel_requested": 1}
        case "reset", []:
            pass
        case _:
            raise ValueError(f"an event {kind!r} with {len(rest)} values")
    return Change(key, int(epoch), values)


def read(path: Path, start: int) -> Generator[tuple[list[Change], int]]:
    """Yield the changes of a segment in parts, each with the offset of the next part.

    An incomplete last line is ignored: its writer was killed, or is just writing it.

    Raises:
        CheckpointError: If a complete line is damaged.
    """
    with path.open("rb") as file:
        file.seek(start)
        rest = b""
        while block := file.read(READ_SIZE):
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            changes: list[Change] = []
            for line in lines:
                head, _, outcome = line.partition(b"\t")
                try:
                    change = decode(head, path.name, start + len(head) + 1, len(outcome))
                except (ValueError, TypeError) as error:
                    raise CheckpointError(
                        f"{path} is damaged: the line at byte {start} cannot be read ({error}). "
                        "Restore the folder from a backup, or use another checkpoint."
                    ) from None
                changes.append(change)
                start += len(line) + 1
            yield changes, start


class SegmentWriter:
    """Appends to a new segment, which is created with the first write.

    Args:
        folder: The checkpoint folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self.name = new_name()
        self.size = 0

    def append(
        self, events: Iterable[tuple[Event | Adopted, int]], *, run: str | None
    ) -> list[Change]:
        """Append events with their epochs, and wait until they are on disk.

        Args:
            events: The events.
            run: The run of an engine that they belong to.

        Raises:
            OSError: If they cannot be written.
        """
        content, changes = bytearray(), list[Change]()
        for event, epoch in events:
            head, outcome = encode(event, epoch, run)
            start = self.size + len(content) + len(head) + 1
            changes.append(decode(head, self.name, start, len(outcome)))
            content += head + b"\t" + outcome + b"\n" if outcome else head + b"\n"
        if self._file is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
            self._file = os.open(self._folder / self.name, flags, 0o666)
            _sync_folder(self._folder)
        remaining = memoryview(content)
        while remaining:
            remaining = remaining[os.write(self._file, remaining) :]
        os.fsync(self._file)
        self.size += len(content)
        return changes

    def is_in_place(self) -> bool:
        """Return whether the segment's path still names the opened file."""
        if self._file is None:
            return self._folder.is_dir()
        opened = os.fstat(self._file)
        try:
            found = (self._folder / self.name).stat()
        except OSError:
            return False
        return (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino)

    def close(self) -> None:
        """Close the segment."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable. Windows does not support this."""
    if os.name == "nt":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
