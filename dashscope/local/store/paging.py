"""Cursor-based pagination.

A cursor identifies the last row of a page, so rows added in the meantime neither repeat nor hide
other rows.
"""

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from attrs import frozen

from dashscope.local.store.database import Database

T = TypeVar("T")

PAGE_SIZE: Final = 100


class CursorError(ValueError):
    """A cursor is invalid."""


@frozen
class Page(Generic[T]):
    """One page, and the cursors of the next and the previous page."""

    results: list[T]
    next: str | None
    previous: str | None


@frozen(kw_only=True)
class Listing(Generic[T]):
    """A query whose rows are ordered by ``key``, then by ``seq``, which every table has."""

    columns: str
    source: str
    make: Callable[..., T]
    key: str = "seq"
    descending: bool = True


def read_page(
    database: Database,
    listing: Listing[T],
    where: str,
    parameters: tuple[Any, ...],
    cursor: str | None,
    size: int = PAGE_SIZE,
) -> Page[T]:
    """Return the page for a cursor, or the first page.

    Raises:
        CursorError: The cursor is invalid.
    """
    place = _decode(cursor) if cursor is not None else None
    backwards = place is not None and place[0] == "previous"
    descending = listing.descending != backwards
    if place is not None:
        where += f" AND ({listing.key}, seq) {'<' if descending else '>'} (?, ?)"
        parameters += place[1:]
    order = "DESC" if descending else "ASC"
    # All parts of the statement are constants. Values from a request are parameters.
    sql = (
        f"SELECT {listing.columns}, {listing.key} AS page_key FROM {listing.source} "  # noqa: S608
        f"WHERE {where} ORDER BY {listing.key} {order}, seq {order} LIMIT {size + 1}"
    )
    rows = database.rows(sql, *parameters)
    more = len(rows) > size
    del rows[size:]
    if backwards:
        rows.reverse()
    keys = [row.pop("page_key") for row in rows]
    has_next = bool(rows) and (more or backwards)
    has_previous = bool(rows) and (more if backwards else place is not None)
    return Page(
        [listing.make(**row) for row in rows],
        _encode("next", keys[-1], rows[-1]["seq"]) if has_next else None,
        _encode("previous", keys[0], rows[0]["seq"]) if has_previous else None,
    )


def _encode(direction: str, key: Any, seq: int) -> str:
    text = json.dumps([direction, key, seq], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[str, int | str, int]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = json.loads(text)
    except (ValueError, RecursionError, binascii.Error) as error:
        raise CursorError(cursor) from error
    match place:
        case ["next" | "previous" as direction, int() | str() as key, int() as seq] if _is_valid(
            key
        ) and _is_valid(seq):
            return cast("tuple[str, int | str, int]", (direction, key, seq))
        case _:
            raise CursorError(cursor)


def _is_valid(value: int | str) -> bool:
    if isinstance(value, str):
        # JSON allows lone surrogates, but SQLite rejects them.
        return value.isprintable()
    return -(2**63) <= value < 2**63
