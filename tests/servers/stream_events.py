"""Write event streams, and parse them with an independent parser."""

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
class SentEvent:
    """An event to send."""

    event: str
    data: str
    id: str | None = None

    def encoded(self, ending: Callable[[], str] = lambda: "\n") -> bytes:
        """Return the bytes of the event. `ending` returns the end of each line."""
        lines = [f"event: {self.event}"] if self.event else []
        if self.id is not None:
            lines.append(f"id: {self.id}")
        lines += [f"data: {line}" for line in self.data.split("\n")]
        text = "".join(line + ending() for line in lines)
        blank = ending()
        # A line feed after a carriage return would belong to the same line ending.
        return (text + ("\r\n" if text[-1] == "\r" and blank == "\n" else blank)).encode()


def output(text: str, id: str | None = None) -> SentEvent:
    return SentEvent("output", text, id)


def logs(text: str, id: str | None = None) -> SentEvent:
    return SentEvent("logs", text, id)


def done(data: str = "{}", id: str | None = None) -> SentEvent:
    return SentEvent("done", data, id)


def encoded(events: Iterable[SentEvent], ending: str = "\n") -> bytes:
    return b"".join(event.encoded(lambda: ending) for event in events)


def events_after(events: Iterable[SentEvent], last_id: str | None) -> list[SentEvent]:
    """Return the events after an id, or all events if no event has that id."""
    events = list(events)
    ids = [event.id for event in events]
    return events[ids.index(last_id) + 1 :] if last_id in ids else events


@frozen
class Parsed:
    """A parsed stream: the events, and the state for resuming."""

    events: list[tuple[str, str, str]]
    last_id: str = ""
    retry: int | None = None


def parse_by_specification(stream: bytes) -> Parsed:
    """Parse a stream by the rules of the WHATWG specification.

    Like httpx-sse, it keeps a named event without data, parses `retry` with `int()`, and applies
    an id only at the blank line after it. It drops an unnamed event without data, and reports an
    id that such an event resets only with the next event.
    """
    text = stream.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    *lines, _ = re.split("\r\n|\r|\n", text)
    events: list[tuple[str, str, str]] = []
    last_id, retry = "", None
    name, data, id, pause, has_retry = "", "", last_id, retry, False
    for line in lines:
        if not line:
            if name or data or id or has_retry:
                last_id, retry = id, pause
            text = data.removesuffix("\n")
            if text or name not in ("", "message"):
                events.append((name or "message", text, last_id))
            name, data, has_retry = "", "", False
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
                pause, has_retry = int(value), True
    return Parsed(events, last_id, retry)


class BodyOfChunks(Body):
    """A response body that consists of the given chunks."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        super().__init__(200, Headers({}), "GET /stream")
        self._chunks = iter(chunks)

    async def chunk(self) -> bytes | None:
        return next(self._chunks, None)

    async def aclose(self) -> None:
        pass


def parse_with_clients(chunks: Iterable[bytes], limit: int = 1 << 20) -> Parsed:
    """Parse a stream with the sync client, and check that the async client parses the same."""
    chunks = list(chunks)
    read = _as_read(list(sync_events(BodyOfChunks(chunks), limit, nullcontext)))

    async def read_async() -> list[ServerSentEvent]:
        return [event async for event in async_events(BodyOfChunks(chunks), limit)]

    assert _as_read(drive(read_async())) == read
    return read


def _as_read(received: list[ServerSentEvent]) -> Parsed:
    events = [
        (event.event, event.data, event.id)
        for event in received
        if event.data or event.event != "message"
    ]
    last_id, retry = "", None
    for event in received:
        last_id = event.id
        retry = retry if event.retry is None else event.retry
    return Parsed(events, last_id, retry)


def single_bytes(stream: bytes) -> list[bytes]:
    """Split a stream into single bytes."""
    return [stream[at : at + 1] for at in range(len(stream))]


def split_everywhere(stream: bytes) -> Iterator[list[bytes]]:
    """Yield the stream in two pieces, split at every position."""
    for at in range(len(stream) + 1):
        yield [stream[:at], stream[at:]]


def random_pieces(stream: bytes, chance: random.Random) -> list[bytes]:
    """Split a stream into pieces of random sizes. Some are empty."""
    cuts = sorted(chance.choices(range(len(stream) + 1), k=chance.randrange(12)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@frozen
class Recording:
    """A stream of events, and the position at which each event is complete."""

    events: tuple[SentEvent, ...] = field(converter=tuple)
    ending: str = "\n"

    @property
    def body(self) -> bytes:
        return encoded(self.events, self.ending)

    def last_id_within(self, length: int) -> str | None:
        """Return the id of the last complete event in the first `length` bytes."""
        last_id, end = None, 0
        for event in self.events:
            end += len(event.encoded(lambda: self.ending))
            # httpx-sse waits for the character after a carriage return.
            if length < end + (self.ending == "\r"):
                break
            last_id = event.id
        return last_id
