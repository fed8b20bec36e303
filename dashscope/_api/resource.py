"""The base of the resources: a request, and its response as a type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from dashscope import types
from dashscope._api.decoding import structure, structure_page
from dashscope._api.requestor import Call, Requestor
from dashscope._common.urls import page_query, segment
from dashscope._common.validation import check_text, shown

T = TypeVar("T")


class AsyncResource:
    """The operations of one resource, on one client."""

    __slots__ = ("_api",)

    def __init__(self, api: Requestor) -> None:
        self._api = api

    async def _get(self, cls: type[T], path: str, *, id: str | None = None) -> T:
        return structure(await self._api.send(Call(method="GET", path=path)), cls, id=id)

    async def _page(
        self, cls: type[T], path: str, *, cursor: str | None, **params: Any
    ) -> types.Page[T]:
        call = Call(method="GET", path=path, params=page_params(cursor, params))
        return structure_page(await self._api.send(call), cls)

    async def _delete(self, path: str) -> None:
        await self._api.send(Call(method="DELETE", path=path))


def page_params(cursor: str | None, params: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the query of a page.

    Args:
        cursor: A cursor, or the `next` or `previous` URL of another page. All parameters of such a
            URL replace those in `params`.
        params: Further parameters.
    """
    if cursor is None:
        return list(params.items())
    found = page_query(check_text("cursor", cursor))
    names = {name for name, _ in found}
    return [*((name, value) for name, value in params.items() if name not in names), *found]


def body_of(**fields: Any) -> dict[str, Any]:
    """Return a JSON body with the fields that are not `None`."""
    return {name: value for name, value in fields.items() if value is not None}


def id_of(value: object, cls: type[Any]) -> str:
    """Return the id of a `cls`, or `value` itself if it is an id."""
    if isinstance(value, cls):
        found: Any = value
        return str(found.id)
    name = cls.__name__
    if not isinstance(value, str):
        raise TypeError(f"{name.lower()} must be a {name} or an id, not {shown(value)}")
    segment(name.lower(), value)  # raise now, not in the first request
    return value


def time_param(name: str, value: datetime | str | None) -> str | None:
    """Return a time as a query parameter: ISO 8601 with an offset."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        return check_text(name, value)
    if value.tzinfo is None:
        raise ValueError(
            f"{name} must be an aware datetime, such as datetime.now(UTC): it has no time zone"
        )
    return value.isoformat()
