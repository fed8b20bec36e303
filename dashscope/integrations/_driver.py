"""The driver of a run: it prepares the checkpoint that the workers share, and cancels on Ctrl-C."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from types import TracebackType
from typing import Any, Protocol

from attrs import evolve

from dashscope._batch.checkpoint import location as locations
from dashscope._batch.checkpoint.location import Location


def prepare(checkpoint: Any, ref: str, *, resume: bool) -> Location:
    """Return the location of a checkpoint, which exists and can be used.

    Args:
        checkpoint: What the user passed as `checkpoint=`.
        ref: The model.
        resume: Whether rows that earlier runs have finished come from the checkpoint.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        ValueError: If `resume` is `False` and the checkpoint is a file.
    """
    location = locations.parse(checkpoint)
    if not resume:
        if not location.is_shared:
            raise ValueError("resume=False requires a folder or a database as checkpoint")
        location = evolve(location, salt=locations.new_id())
    if location.kind == "folder":
        from dashscope._batch.checkpoint import folder

        location = evolve(
            location,
            address=os.path.join(os.path.abspath(location.address), ""),  # noqa: PTH100, PTH118 (keeps "/")
            id=folder.prepare(location.address, ref),
        )
    elif location.kind == "database":
        store = location.store(ref, by_digest=True)
        store.open()
        store.close()
    else:
        return evolve(location, address=os.path.abspath(location.address))  # noqa: PTH100
    return evolve(location, run=locations.new_id(), leaves_running=True)


class Cancelable(Protocol):
    """A run that the driver can cancel."""

    def cancel(self) -> int:
        """Cancel the unfinished predictions of the run, and return how many."""
        ...


def cancel_on_interrupt(run: Cancelable) -> None:
    """Cancel the predictions of a run if Ctrl-C ends this process, which is the driver."""
    with _watching:
        if sys.excepthook is not _on_exception:
            global _previous
            _previous, sys.excepthook = sys.excepthook, _on_exception
        _watched.add(run)


def forget(run: Cancelable) -> None:
    """Do not cancel a run any more."""
    _watched.discard(run)


_watched: weakref.WeakSet[Cancelable] = weakref.WeakSet()
_watching = threading.Lock()
_previous: Any = sys.__excepthook__


def _on_exception(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        for run in list(_watched):
            try:
                count = run.cancel()
            except Exception as failure:  # noqa: BLE001 (the others must still be canceled)
                print(f"Predictions may still be running: {failure}", file=sys.stderr)  # noqa: T201
            else:
                if count:
                    print(f"Canceled {count} predictions.", file=sys.stderr)  # noqa: T201
    _previous(kind, error, traceback)
