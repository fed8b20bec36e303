"""Helpers that read the results of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

REF = "owner/name"


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Return inputs whose values count up from 0."""
    return ({"value": number} for number in range(count))


async def read(batch: Any) -> list[Any]:
    """Return all results of a batch."""
    async with batch as results:
        return [result async for result in results]


async def read_into(seen: list[Any], batch: Any) -> None:
    """Append the results of a batch, which may raise, to `seen`."""
    async with batch as results:
        async for result in results:
            seen.append(result)


def outputs(results: list[Any]) -> list[Any]:
    """Return the outputs of results, `None` for failed rows."""
    return [result["output"] for result in results]
