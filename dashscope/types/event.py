"""The events of a stream."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Any, ClassVar, Literal, Self, TypeAlias

from attrs import frozen

from dashscope._common.json import object_in
from dashscope.types._value import Value


class _Event(Value):
    """The base of the events."""

    __slots__ = ()
    _kind: ClassVar[str | None] = None
    """The server's name of this kind of event, or `None` for any other name."""

    id: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the event as the server sent it: `{"event": ..., "id": ..., "data": ...}`.

        Returns:
            A dict that every JSON library can encode, and that libraries for server-sent events
            accept.

        Example:
            ```python
            async with client.stream("dashscope/countdown", {"start": 3}) as stream:
                async for event in stream:
                    print(event.to_dict())
            ```
        """
        kind, data = self._sent()
        return {"event": kind, "id": self.id, "data": data}

    @abstractmethod
    def _sent(self) -> tuple[str, str]:
        """Return the kind of event and the data as the server sent them."""

    @classmethod
    @abstractmethod
    def _received(cls, kind: str, data: str, id: str | None) -> Self:
        """Return the event that the server sent."""

    @classmethod
    def _from_json(cls, value: dict[str, Any], arguments: tuple[Any, ...]) -> Self:
        kind, data, id = value.get("event"), value.get("data"), value.get("id")
        if not isinstance(kind, str) or cls._kind not in (kind, None):
            raise ValueError(f"event must be {cls._kind!r}, not {kind!r}")
        if not isinstance(data, str) or not isinstance(id, str | None):
            raise ValueError("data must be text, and id must be text or null")  # noqa: TRY004
        return cls._received(kind, data, id)

    @classmethod
    def _json_hints(cls) -> dict[str, Any] | None:
        kind: Any = str if cls._kind is None else Literal[cls._kind]
        return {"event": kind, "id": str | None, "data": str}


@frozen(repr=False)
class OutputEvent(_Event):
    """A part of the output.

    Attributes:
        text: The part. If the part is a URL, it is a file output.
        id: The id of the event.
    """

    text: str
    id: str | None = None

    _kind = "output"

    def __str__(self) -> str:
        return self.text

    def _sent(self) -> tuple[str, str]:
        return "output", str.__str__(self.text)

    @classmethod
    def _received(cls, kind: str, data: str, id: str | None) -> Self:
        return cls(data, id)


@frozen(repr=False)
class LogsEvent(_Event):
    """Text that the model printed.

    Attributes:
        text: The text.
        id: The id of the event.
    """

    text: str
    id: str | None = None

    _kind = "logs"

    def __str__(self) -> str:
        return ""

    def _sent(self) -> tuple[str, str]:
        return "logs", self.text

    @classmethod
    def _received(cls, kind: str, data: str, id: str | None) -> Self:
        return cls(data, id)


@frozen(repr=False)
class DoneEvent(_Event):
    """The end of the stream.

    Attributes:
        reason: Why the stream ended, such as `canceled`. Empty if the model finished.
        id: The id of the event.
    """

    reason: str = ""
    id: str | None = None

    _kind = "done"

    def __str__(self) -> str:
        return ""

    def _sent(self) -> tuple[str, str]:
        return "done", json.dumps({"reason": self.reason} if self.reason else {})

    @classmethod
    def _received(cls, kind: str, data: str, id: str | None) -> Self:
        reason = object_in(data).get("reason")
        return cls(reason if isinstance(reason, str) else "", id)


@frozen(repr=False)
class OtherEvent(_Event):
    """An event of a kind that this version does not support.

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

    def _sent(self) -> tuple[str, str]:
        return self.event, self.data

    @classmethod
    def _received(cls, kind: str, data: str, id: str | None) -> Self:
        return cls(kind, data, id)


Event: TypeAlias = OutputEvent | LogsEvent | DoneEvent | OtherEvent
"""An event of a stream. `str(event)` is the text of an output event, and empty for others."""
