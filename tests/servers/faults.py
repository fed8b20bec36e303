"""The faults of `fault_proxy`, and the effect of each on a request."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus

from attrs import frozen

from tests.servers.fault_proxy import Exchange, Fault, forward


class Effect(Enum):
    """What a fault tells the client about its request."""

    NONE = auto()
    """The complete response arrives."""
    NOT_SENT = auto()
    """No connection was established: the request was not executed."""
    LOST = auto()
    """The connection broke: the request may have been executed."""
    STALLED = auto()
    """No response arrived in time: the request may have been executed."""
    DECLINED = auto()
    """The server did not execute the request, and it may be retried."""
    FAILED = auto()
    """The server or a gateway failed: the request may have been executed."""
    RETRY_LATER = auto()
    """`Retry-After` is longer than the client waits."""


@frozen
class FaultCase:
    """A fault and its effect.

    Attributes:
        fault: The fault.
        effect: The effect on the request.
        status: The status that the client receives, if any.
        on_reused_connection: Whether the fault needs a connection that was used before.
        between_requests: Whether the fault happens between two requests.
    """

    fault: Fault
    effect: Effect
    status: int | None = None
    on_reused_connection: bool = False
    between_requests: bool = False

    def __str__(self) -> str:
        return self.fault.name


def halves(answer: bytes) -> tuple[bytes, bytes]:
    """Split a response in the middle of its body, or of its head if there is no body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    middle = len(head) + 4 + len(body) // 2 if body else len(head) // 2
    return answer[:middle], answer[middle:]


async def _reset_in_request(exchange: Exchange) -> None:
    await exchange.reset()


async def _reset_after_request(exchange: Exchange) -> None:
    await exchange.body()
    await exchange.reset()


async def _reset_instead_of_response(exchange: Exchange) -> None:
    await exchange.answer()
    await exchange.reset()


async def _end_instead_of_response(exchange: Exchange) -> None:
    await exchange.answer()
    await exchange.end()


async def _reset_in_response(exchange: Exchange) -> None:
    await exchange.send(halves(await exchange.answer())[0])
    await asyncio.sleep(0.01)
    await exchange.reset()


async def _truncated(exchange: Exchange) -> None:
    await exchange.send(halves(await exchange.answer())[0])
    await exchange.end()


async def _silent(exchange: Exchange) -> None:
    await exchange.answer()
    await exchange.silence()


async def _silent_in_response(exchange: Exchange) -> None:
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
    status: int, retry_after: Callable[[], str] | None, *, executed: bool = False
) -> Callable[[Exchange], Awaitable[None]]:
    async def act(exchange: Exchange) -> None:
        await (exchange.answer() if executed else exchange.body())
        wait = "" if retry_after is None else f"Retry-After: {retry_after()}\r\n"
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{wait}Content-Length: 2\r\n\r\n"
        await exchange.send(head.encode() + b"{}")

    return act


Mangle = Callable[[bytes, bytes], bytes]
"""Returns the bytes to send for a response's head (without a length) and its body."""

_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"


def _mangled(mangle: Mangle) -> Callable[[Exchange], Awaitable[None]]:
    """Return a fault that executes the request and mangles the response."""

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
    """Send two chunks and mangle the second one."""

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
    "an endless header": lambda head, body: head + b"X: " + b"x" * 300_000,
    "endless headers": lambda head, body: head + b"X: y\r\n" * 50_000,
    "two different lengths": lambda head, body: (
        head + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n" + body
    ),
    "a negative length": _sized(lambda body: b"-2"),
    "a length of 5,000 digits": _sized(lambda body: b"9" * 5000),
    "a length that is a word": _sized(lambda body: b"two"),
    "a length beyond the body": _sized(lambda body: b"%d" % (len(body) + 100)),
    "a chunk size that is a word": _in_chunks(lambda rest: b"zz\r\n" + rest + b"\r\n0\r\n\r\n"),
    "a negative chunk size": _in_chunks(lambda rest: b"-2\r\n" + rest + b"\r\n0\r\n\r\n"),
    "a chunk longer than its size": _in_chunks(lambda rest: b"0\r\n" + rest + b"\r\n0\r\n\r\n"),
    "a chunk shorter than its size": _in_chunks(lambda rest: b"fff\r\n" + rest),
    "no last chunk": _in_chunks(_chunk),
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


def _statuses() -> list[FaultCase]:
    cases = []
    for status in STATUSES:
        passing = Effect.DECLINED if status == 429 else Effect.FAILED
        for wait, (retry_after, is_long) in _WAITS.items():
            act = _status(status, retry_after)
            effect = Effect.RETRY_LATER if is_long else passing
            cases.append(FaultCase(Fault(f"{status}{wait}", act), effect, status))
        if status != 429:
            act = _status(status, None, executed=True)
            cases.append(FaultCase(Fault(f"{status} after execution", act), passing, status))
    return cases


RESET_AT_ONCE = Fault("reset before the request", forward, early=True)
"""With TLS the client knows that no request was sent. Without TLS it may have been."""

BROKEN = [
    FaultCase(Fault("reset while the request is sent", _reset_in_request), Effect.LOST),
    FaultCase(Fault("reset after the request", _reset_after_request), Effect.LOST),
    FaultCase(Fault("reset instead of the response", _reset_instead_of_response), Effect.LOST),
    FaultCase(Fault("closed instead of the response", _end_instead_of_response), Effect.LOST),
    FaultCase(Fault("reset in the response", _reset_in_response), Effect.LOST),
    FaultCase(Fault("truncated", _truncated), Effect.LOST),
    FaultCase(Fault("closed on reuse", _closed_at_reuse), Effect.LOST, on_reused_connection=True),
    FaultCase(Fault("reset on reuse", _reset_at_reuse), Effect.LOST, on_reused_connection=True),
]
CORRUPT = [
    FaultCase(Fault(name, _mangled(mangle)), Effect.LOST) for name, mangle in _MANGLED.items()
]
STALLS = [
    FaultCase(Fault("no response", _silent), Effect.STALLED),
    FaultCase(Fault("silence in the response", _silent_in_response), Effect.STALLED),
]
HARMLESS = [
    FaultCase(Fault("a slow response", _slow), Effect.NONE),
    FaultCase(Fault("a late response", _late), Effect.NONE),
    FaultCase(Fault("closed when idle", _closed_when_idle), Effect.NONE, between_requests=True),
    FaultCase(Fault("reset when idle", _reset_when_idle), Effect.NONE, between_requests=True),
]
ERROR_STATUSES = _statuses()
