"""Reading a stream in any flavor."""

from __future__ import annotations

import inspect
from typing import Any, Self

from dashscope import DoneEvent, LogsEvent, OtherEvent, OutputEvent
from tests.flavors import Awaited


class Each:
    """The events of a sync stream behind `async for`."""

    def __init__(self, stream: Awaited) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self._stream.__anext__()


def each(stream: Any) -> Any:
    """The events of a stream, for `async for`."""
    return Each(stream) if isinstance(stream, Awaited) else stream


async def events_of(stream: Any) -> list[Any]:
    """All events of a stream that is entered already."""
    return [event async for event in each(stream)]


async def read_into(events: list[Any], opened: Any) -> None:
    """All events of a stream that may end with an exception."""
    async with opened as stream:
        async for event in each(stream):
            events.append(event)


async def read(opened: Any) -> list[Any]:
    """All events of a stream."""
    async with opened as stream:
        return await events_of(stream)


def texts(events: list[Any]) -> list[str]:
    """The parts of the output in events."""
    return [event.text for event in events if isinstance(event, OutputEvent)]


def printed(events: list[Any]) -> str:
    """The logs in events."""
    return "".join(event.text for event in events if isinstance(event, LogsEvent))


def told(events: list[Any]) -> list[tuple[str, str]]:
    """Events in short, without their ids."""

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
    """What a method gives that is a coroutine function in one flavor and not in another."""
    return await value if inspect.isawaitable(value) else value
