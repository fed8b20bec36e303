"""A writer of event streams, and how they are read by the letter: the tests' own."""

from __future__ import annotations

import codecs
import random
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress

from attrs import field, frozen
from httpx_sse import ServerSentEvent

from dashscope._runtime.drive import drive
from dashscope._transport.bodies import Body
from dashscope._transport.sse import async_events, sync_events
from dashscope.types.http import Headers


@frozen
class Sent:
    """An event as a test sends it."""

    event: str
    data: str
    id: str | None = None

    def encoded(self, ending: Callable[[], str] = lambda: "\n") -> bytes:
        """The event's bytes; `ending` gives each line its end."""
        lines = [f"event: {self.event}"] if self.event else []
        if self.id is not None:
            lines.append(f"id: {self.id}")
        lines += [f"data: {line}" for line in self.data.split("\n")]
        text = "".join(line + ending() for line in lines)
        blank = ending()
        # A line feed behind a carriage return would be a part of the same ending.
        return (text + ("\r\n" if text[-1] == "\r" and blank == "\n" else blank)).encode()


def output(text: str, id: str | None = None) -> Sent:
    return Sent("output", text, id)


def logs(text: str, id: str | None = None) -> Sent:
    return Sent("logs", text, id)


def done(data: str = "{}", id: str | None = None) -> Sent:
    return Sent("done", data, id)


def encoded(events: Iterable[Sent], ending: str = "\n") -> bytes:
    return b"".join(event.encoded(lambda: ending) for event in events)


def after(events: Iterable[Sent], last_id: str | None) -> list[Sent]:
    """The events that a server sends which resumes: those after an id, all where there is none."""
    events = list(events)
    ids = [event.id for event in events]
    return events[ids.index(last_id) + 1 :] if last_id in ids else events


@frozen
class Read:
    """What a stream said: the events for the user, and what is remembered for resuming."""

    events: list[tuple[str, str, str]]
    last_id: str = ""
    retry: int | None = None


def by_the_letter(stream: bytes) -> Read:
    """Read a stream by the rules as WHATWG writes them, without regard to speed.

    As httpx-sse does, an event with a name needs no data, a `retry` is what `int()` takes, and an
    id counts only with the blank line after it. An unnamed event without data is dropped.
    """
    text = stream.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    *lines, _ = re.split("\r\n|\r|\n", text)
    events: list[tuple[str, str, str]] = []
    last_id, retry = "", None
    name, data, id, pause = "", "", last_id, retry
    for line in lines:
        if not line:
            last_id, retry = id, pause
            text = data.removesuffix("\n")
            if text or name not in ("", "message"):
                events.append((name or "message", text, last_id))
            name, data = "", ""
            continue
        if line.startswith(":"):
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data += value + "\n"
        elif key == "id" and "\0" not in value:
            id = value
        elif key == "retry":
            with suppress(ValueError):
                pause = int(value)
    return Read(events, last_id, retry)


class Pieces(Body):
    """A body that arrives in the given pieces."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(200, Headers({}), "GET /stream")
        self._chunks = iter(chunks)

    async def chunk(self) -> bytes | None:
        return next(self._chunks, None)

    async def aclose(self) -> None:
        pass


def by_parser(chunks: Iterable[bytes], limit: int = 1 << 20) -> Read:
    """Read a stream as the sync client does, and check that the async client reads the same."""
    chunks = list(chunks)
    read = _as_read(list(sync_events(Pieces(chunks), limit, nullcontext)))

    async def read_async() -> list[ServerSentEvent]:
        return [event async for event in async_events(Pieces(chunks), limit)]

    assert _as_read(drive(read_async())) == read
    return read


def _as_read(received: list[ServerSentEvent]) -> Read:
    events = [
        (event.event, event.data, event.id)
        for event in received
        if event.data or event.event != "message"
    ]
    last_id, retry = "", None
    for event in received:
        last_id = event.id
        retry = retry if event.retry is None else event.retry
    return Read(events, last_id, retry)


def single_bytes(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def halves(stream: bytes) -> Iterator[list[bytes]]:
    """The stream in two pieces, cut at every position."""
    for at in range(len(stream) + 1):
        yield [stream[:at], stream[at:]]


def pieces(stream: bytes, chance: random.Random) -> list[bytes]:
    """The stream in pieces of random sizes, some of them empty."""
    cuts = sorted(chance.choices(range(len(stream) + 1), k=chance.randrange(12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@frozen
class Recording:
    """A stream as it was sent, and where in it each event is whole."""

    events: tuple[Sent, ...] = field(converter=tuple)
    ending: str = "\n"

    @property
    def body(self) -> bytes:
        return encoded(self.events, self.ending)

    def last_id_within(self, length: int) -> str | None:
        """The id of the last event that the first `length` bytes hold whole."""
        last_id, end = None, 0
        for event in self.events:
            end += len(event.encoded(lambda: self.ending))
            # httpx-sse waits for the character after a carriage return.
            if length < end + (self.ending == "\r"):
                break
            last_id = event.id
        return last_id
