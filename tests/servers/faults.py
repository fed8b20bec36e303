"""The faults: what networks, gateways and servers do, and what each means for a request."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus

from attrs import frozen

from tests.servers.fault_proxy import Exchange, Fault, pass_on


class Means(Enum):
    """What a fault tells the client about the request that it happened to."""

    NOTHING = auto()
    """The answer is there and whole."""
    NOT_SENT = auto()
    """No connection was made: the server cannot have it."""
    LOST = auto()
    """The connection broke: nobody knows whether it was carried out."""
    SILENT = auto()
    """As LOST, but for want of time."""
    DECLINED = auto()
    """The server says that it did not carry it out, and that it may be sent again."""
    FAILED = auto()
    """The server failed, or a gateway before it: nobody knows whether it was carried out."""
    NOT_NOW = auto()
    """The server wants to be left alone for longer than anybody waits."""


@frozen
class Case:
    """A fault, and what it means.

    Attributes:
        fault: the fault.
        means: what it means for the request.
        status: the status that the client sees, where there is one.
        warm: whether the connection has had a request before.
        after: whether it happens between two requests rather than to one.
    """

    fault: Fault
    means: Means
    status: int | None = None
    warm: bool = False
    after: bool = False

    def __str__(self) -> str:
        return self.fault.name


def halves(answer: bytes) -> tuple[bytes, bytes]:
    """An answer, cut in the middle of its body, or of its head where there is none."""
    head, _, body = answer.partition(b"\r\n\r\n")
    middle = len(head) + 4 + len(body) // 2 if body else len(head) // 2
    return answer[:middle], answer[middle:]


async def _reset_in_the_request(exchange: Exchange) -> None:
    await exchange.reset()


async def _reset_after_the_request(exchange: Exchange) -> None:
    await exchange.body()
    await exchange.reset()


async def _reset_instead_of_the_answer(exchange: Exchange) -> None:
    await exchange.answer()
    await exchange.reset()


async def _end_instead_of_the_answer(exchange: Exchange) -> None:
    await exchange.answer()
    await exchange.end()


async def _reset_in_the_answer(exchange: Exchange) -> None:
    await exchange.send(halves(await exchange.answer())[0])
    await asyncio.sleep(0.01)
    await exchange.reset()


async def _truncated(exchange: Exchange) -> None:
    await exchange.send(halves(await exchange.answer())[0])
    await exchange.end()


async def _silent(exchange: Exchange) -> None:
    await exchange.answer()
    await exchange.silence()


async def _silent_in_the_answer(exchange: Exchange) -> None:
    await exchange.send(halves(await exchange.answer())[0])
    await exchange.silence()


async def _slow(exchange: Exchange) -> None:
    answer = await exchange.answer()
    step = max(1, len(answer) // 10)
    for start in range(0, len(answer), step):
        await exchange.send(answer[start : start + step])
        await asyncio.sleep(0.002)


async def _late(exchange: Exchange) -> None:
    answer = await exchange.answer()
    await asyncio.sleep(0.05)
    await exchange.send(answer)


async def _closed_when_idle(exchange: Exchange) -> None:
    await exchange.send(await exchange.answer())
    await exchange.end()


async def _reset_when_idle(exchange: Exchange) -> None:
    await exchange.send(await exchange.answer())
    await asyncio.sleep(0.01)
    await exchange.reset()


async def _closed_at_reuse(exchange: Exchange) -> None:
    assert exchange.number > 1
    await exchange.end()


async def _reset_at_reuse(exchange: Exchange) -> None:
    assert exchange.number > 1
    await exchange.reset()


def _status(
    status: int, retry_after: Callable[[], str] | None, *, carried_out: bool = False
) -> Callable[[Exchange], Awaitable[None]]:
    async def act(exchange: Exchange) -> None:
        await (exchange.answer() if carried_out else exchange.body())
        wait = "" if retry_after is None else f"Retry-After: {retry_after()}\r\n"
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{wait}Content-Length: 2\r\n\r\n"
        await exchange.send(head.encode() + b"{}")

    return act


Mangle = Callable[[bytes, bytes], bytes]
"""An answer's head, without a length, and its body, to what comes in its stead."""

_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def _mangled(mangle: Mangle) -> Callable[[Exchange], Awaitable[None]]:
    """The request is carried out, and its answer comes mangled."""

    async def act(exchange: Exchange) -> None:
        head, _, body = (await exchange.answer()).partition(b"\r\n\r\n")
        head = re.sub(rb"(?i)\r\n(content-length|date):[^\r]*", b"", head) + b"\r\n"
        head = re.sub(rb"^HTTP/1.1 204[^\r]*", b"HTTP/1.1 200 OK", head)
        await exchange.send(mangle(head, body or b"{}"))
        await exchange.end()

    return act


def _sized(length: Callable[[bytes], bytes]) -> Mangle:
    return lambda head, body: head + b"Content-Length: " + length(body) + b"\r\n\r\n" + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _in_chunks(second: Callable[[bytes], bytes]) -> Mangle:
    """In two chunks, of which the second is mangled."""

    def mangle(head: bytes, body: bytes) -> bytes:
        middle = len(body) // 2
        return head + _CHUNKED + _chunk(body[:middle]) + second(body[middle:])

    return mangle


_MANGLED: dict[str, Mangle] = {
    "not HTTP": lambda head, body: b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "noise": lambda head, body: bytes(range(256)) * 4 + b"\r\n\r\n",
    "a status line without a status": lambda head, body: b"HTTP/1.1 OK\r\n\r\n",
    "a status of four digits": lambda head, body: re.sub(rb"(?<= )2", b"22", head) + b"\r\n" + body,
    "a header without a colon": lambda head, body: head + b"nonsense\r\n\r\n" + body,
    "a header that is never over": lambda head, body: head + b"X: " + b"x" * 300_000,
    "headers without an end": lambda head, body: head + b"X: y\r\n" * 50_000,
    "two different lengths": lambda head, body: (
        head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n" + body
    ),
    "a negative length": _sized(lambda body: b"-2"),
    "a length of 5,000 digits": _sized(lambda body: b"9" * 5000),
    "a length that is a word": _sized(lambda body: b"two"),
    "a length beyond the body": _sized(lambda body: b"%d" % (len(body) + 100)),
    "a chunk size that is a word": _in_chunks(lambda rest: b"zz\r\n" + rest + b"\r\n0\r\n\r\n"),
    "a negative chunk size": _in_chunks(lambda rest: b"-2\r\n" + rest + b"\r\n0\r\n\r\n"),
    "a chunk longer than it says": _in_chunks(lambda rest: b"0\r\n" + rest + b"\r\n0\r\n\r\n"),
    "a chunk shorter than it says": _in_chunks(lambda rest: b"fff\r\n" + rest),
    "chunks without an end": _in_chunks(_chunk),
    "an unknown transfer encoding": lambda head, body: (
        head + b"Transfer-Encoding: rot13\r\n\r\n" + body
    ),
}

_WAITS: dict[str, tuple[Callable[[], str] | None, bool]] = {
    "": (None, False),
    ", retry in seconds": (lambda: "0.05", False),
    ", retry at a date in the past": (lambda: formatdate(time.time() - 3600, usegmt=True), False),
    ", retry at a date to come": (lambda: formatdate(time.time() + 1, usegmt=True), False),
    ", retry at nonsense": (lambda: "soon", False),
    ", retry in negative seconds": (lambda: "-5", False),
    ", retry in a day": (lambda: "86400", True),
    ", retry in 10**400 seconds": (lambda: "1" + "0" * 400, True),
    ", retry at a date far away": (lambda: formatdate(time.time() + 1e6, usegmt=True), True),
}

STATUSES = (408, 429, 500, 502, 503, 504)


def _statuses() -> list[Case]:
    cases = []
    for status in STATUSES:
        passing = Means.DECLINED if status == 429 else Means.FAILED
        for wait, (retry_after, is_long) in _WAITS.items():
            act = _status(status, retry_after)
            means = Means.NOT_NOW if is_long else passing
            cases.append(Case(Fault(f"{status}{wait}", act), means, status))
        if status != 429:
            act = _status(status, None, carried_out=True)
            cases.append(Case(Fault(f"{status}, and carried out", act), passing, status))
    return cases


RESET_AT_ONCE = Fault("reset before the request", pass_on, early=True)
"""With TLS the client knows that no request was sent; without, it may have been."""

BROKEN = [
    Case(Fault("reset while the request is sent", _reset_in_the_request), Means.LOST),
    Case(Fault("reset after the request", _reset_after_the_request), Means.LOST),
    Case(Fault("reset instead of the answer", _reset_instead_of_the_answer), Means.LOST),
    Case(Fault("closed instead of the answer", _end_instead_of_the_answer), Means.LOST),
    Case(Fault("reset in the answer", _reset_in_the_answer), Means.LOST),
    Case(Fault("truncated", _truncated), Means.LOST),
    Case(Fault("closed at the moment of reuse", _closed_at_reuse), Means.LOST, warm=True),
    Case(Fault("reset at the moment of reuse", _reset_at_reuse), Means.LOST, warm=True),
]
CORRUPT = [Case(Fault(name, _mangled(mangle)), Means.LOST) for name, mangle in _MANGLED.items()]
STALLS = [
    Case(Fault("no answer", _silent), Means.SILENT),
    Case(Fault("silence in the answer", _silent_in_the_answer), Means.SILENT),
]
HARMLESS = [
    Case(Fault("a slow answer", _slow), Means.NOTHING),
    Case(Fault("a late answer", _late), Means.NOTHING),
    Case(Fault("closed when idle", _closed_when_idle), Means.NOTHING, after=True),
    Case(Fault("reset when idle", _reset_when_idle), Means.NOTHING, after=True),
]
ANSWERED = _statuses()
