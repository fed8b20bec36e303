"""Looking for predictions that may have been created, though nobody noted their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dashscope._batch.desk import Desk
    from dashscope._batch.rows import Row


class Finder:
    """Finds the predictions of lost rows."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def find(self, rows: Sequence[Row]) -> None:
        """Look for the predictions of rows."""
        raise NotImplementedError
