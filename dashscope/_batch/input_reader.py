"""Taking inputs in: one at a time, when there is room, each to where it belongs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from dashscope._batch.checkpoint.base import Entry
from dashscope._batch.context import Desk
from dashscope._batch.row import Row
from dashscope._batch.scheduler import now
from dashscope._errors import CheckpointError, FileError
from dashscope._files import inputs as _inputs


class Inlet:
    """Reads the inputs of a batch."""

    def __init__(self, desk: Desk, items: AsyncIterator[Any]) -> None:
        self._desk = desk
        self._items = items

    async def read(self) -> None:
        """Read one, or note that there are no more; what the iterator raises ends the rows."""
        outbox = self._desk.outbox
        try:
            input = await anext(self._items)
        except StopAsyncIteration:
            await self._desk.ledger.count(outbox.taken)
            outbox.end(None)
            return
        except Exception as error:  # noqa: BLE001 (raised once the rows before it are out)
            outbox.end(error)
            return
        await self._admit(Row(index=outbox.take(), input=input))

    async def aclose(self) -> None:
        """Read no more; an async generator is closed."""
        items: Any = self._items
        if isinstance(items, AsyncGenerator):
            await items.aclose()

    async def _admit(self, row: Row) -> None:
        desk = self._desk
        try:
            _inputs.check(row.input)
            row.digest, entry = await desk.ledger.find(row.index, row.input)
        except CheckpointError:
            raise
        except (FileError, TypeError, ValueError) as error:
            desk.give_error(row, error)
            return
        if entry is None:
            desk.scheduler.add(row)
        else:
            self._go_on(row, entry)

    def _go_on(self, row: Row, entry: Entry) -> None:
        """Go on with a row where an earlier call left it."""
        desk = self._desk
        row.sent = entry.sent
        if entry.outcome is not None:
            desk.give(row, entry.outcome, from_checkpoint=True)
        elif entry.is_over:
            desk.outbox.put(row.index, None)
        elif entry.id is not None:
            running = desk.watch(
                row, entry.id, entry.created_at, is_attached=True, was_left=entry.was_left
            )
            desk.scheduler.created(running, now())
        elif entry.intended_at is not None:
            row.intended_at = entry.intended_at
            desk.scheduler.add_lost(row)
        else:
            desk.scheduler.add(row)


def total_of(inputs: Any) -> int | None:
    """How many inputs there are, where they say so."""
    if isinstance(inputs, Mapping) or not hasattr(inputs, "__len__"):
        return None
    return len(inputs)
