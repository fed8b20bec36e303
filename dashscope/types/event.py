"""The events of a stream."""

from __future__ import annotations

from typing import TypeAlias

from attrs import frozen


@frozen
class OutputEvent:
    """A part of the output.

    Attributes:
        text: The part. A file output if it is a URL.
        id: The id of the event.
    """

    text: str
    id: str | None = None

    def __str__(self) -> str:
        return self.text


@frozen
class LogsEvent:
    """Text that the model printed.

    Attributes:
        text: The text.
        id: The id of the event.
    """

    text: str
    id: str | None = None

    def __str__(self) -> str:
        return ""


@frozen
class DoneEvent:
    """The end of the stream.

    Attributes:
        reason: Why the stream ended: empty if the model finished, or such as `canceled`.
        id: The id of the event.
    """

    reason: str = ""
    id: str | None = None

    def __str__(self) -> str:
        return ""


@frozen
class OtherEvent:
    """An event of a kind that this version does not know.

    Attributes:
        event: The kind of event.
        data: The data.
        id: The id of the event.
    """

    event: str
    data: str
    id: str | None = None

    def __str__(self) -> str:
        return ""


Event: TypeAlias = OutputEvent | LogsEvent | DoneEvent | OtherEvent
"""An event of a stream. `str(event)` is the text of an output event, and empty for others."""
