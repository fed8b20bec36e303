"""Read a stream in any flavor."""

from __future__ import annotations

import inspect
from typing import Any, Self

from dashscope import DoneEvent, LogsEvent, OtherEvent, OutputEvent
from tests.flavors import Awaited


class SyncStreamIterator:
    """Wraps a sync stream for `async for`."""

    def __init__(self, stream: Awaited) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self._stream.__anext__()


def iterate(stream: Any) -> Any:
    """Return a stream of any flavor for `async for`."""
    return SyncStreamIterator(stream) if isinstance(stream, Awaited) else stream


async def events_of(stream: Any) -> list[Any]:
    """Return all events of an entered stream."""
    return [event async for event in iterate(stream)]


async def read_into(events: list[Any], opened: Any) -> None:
    """Append the events of a stream, which may raise, to `events`."""
    async with opened as stream:
        async for event in iterate(stream):
            events.append(event)


async def read(opened: Any) -> list[Any]:
    """Return all events of a stream."""
    async with opened as stream:
        return await events_of(stream)


def texts(events: list[Any]) -> list[str]:
    """Return the text of the output events."""
    return [event.text for event in events if isinstance(event, OutputEvent)]


def log_text(events: list[Any]) -> str:
    """Return the joined text of the log events."""
    return "".join(event.text for event in events if isinstance(event, LogsEvent))


def summaries(events: list[Any]) -> list[tuple[str, str]]:
    """Return events as pairs of kind and text, without ids."""

    def short(event: Any) -> tuple[str, str]:
        match event:
            case OutputEvent(text=text):
                return "output", str(text)
            case LogsEvent(text=text):
                return "logs", text
            case DoneEvent(reason=reason):
                return "done", reason
            case OtherEvent(event=name, data=data):
                return name, data
        raise AssertionError(event)

    return [short(event) for event in events]


async def result_of(value: Any) -> Any:
    """Return a result that is awaitable in some flavors only."""
    return await value if inspect.isawaitable(value) else value
