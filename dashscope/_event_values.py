"""The events that a stream gives, and how a prediction's output and logs read as events."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from attrs import frozen

from dashscope._json import is_array


@frozen
class OutputEvent:
    """A part of the output.

    Attributes:
        text: the part; a file output where it is a URL.
        id: the event's id.
    """

    text: str
    id: str | None = None

    def __str__(self) -> str:
        return self.text


@frozen
class LogsEvent:
    """Something the model printed.

    Attributes:
        text: what it printed.
        id: the event's id.
    """

    text: str
    id: str | None = None

    def __str__(self) -> str:
        return ""


@frozen
class DoneEvent:
    """The end of the stream.

    Attributes:
        reason: why it ended: empty when the model did, else such as `canceled`.
        id: the event's id.
    """

    reason: str = ""
    id: str | None = None

    def __str__(self) -> str:
        return ""


@frozen
class OtherEvent:
    """An event of a kind that this version does not know, as it came.

    Attributes:
        event: its kind.
        data: its data.
        id: its id.
    """

    event: str
    data: str
    id: str | None = None

    def __str__(self) -> str:
        return ""


Event: TypeAlias = OutputEvent | LogsEvent | DoneEvent | OtherEvent
"""What a stream gives; `str(event)` is the text of an output event, and empty for others."""


def parts_of(output: Any) -> list[str]:
    """An output as the events of a stream carry it."""
    if output is None:
        return []
    parts = output if is_array(output) else [output]
    return [part if isinstance(part, str) else json.dumps(part) for part in parts]


def same_parts(events: list[str], parts: list[str]) -> bool:
    """Are these the same parts? JSON counts by its value, and a text by its lines."""
    return len(events) == len(parts) and all(
        event == part or _value(event) == _value(part)
        for event, part in zip(events, parts, strict=True)
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return lines_of(text)


def lines_of(text: str) -> str:
    """A text as events carry it, which have one line ending."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
