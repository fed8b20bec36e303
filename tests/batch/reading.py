"""Reading a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

REF = "owner/name"


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Inputs with a value each, from 0."""
    return ({"value": number} for number in range(count))


async def read(batch: Any) -> list[Any]:
    """All results of a batch."""
    async with batch as results:
        return [result async for result in results]


async def read_into(seen: list[Any], batch: Any) -> None:
    """The results of a batch that may end with an exception."""
    async with batch as results:
        async for result in results:
            seen.append(result)


def outputs(results: list[Any]) -> list[Any]:
    """Their outputs."""
    return [result.output for result in results]
