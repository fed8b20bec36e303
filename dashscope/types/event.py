"""The events that a stream gives."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen


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
