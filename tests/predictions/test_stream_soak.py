"""Ten thousand streams, opened and closed in every way, leave no socket and no task open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashscope import AsyncClient, Client, DoneEvent
from tests.servers.fake_server import prediction
from tests.servers.loop_server import LoopServer, reply_json
from tests.servers.stream_events import done, encoded, output

STREAMS = 10_000
EVERY = 500
CONCURRENCY = 20
DESCRIPTORS = Path("/proc/self/fd")

BODY = encoded([*(output(text, text) for text in "abc"), done(id="d")])
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not DESCRIPTORS.exists(), reason="needs /proc"),
]


class FastServer(LoopServer):
    """A fast server that creates, cancels and streams predictions in one event loop.

    The name of the model selects the stream: `whole`, `held` (open until the client disconnects),
    `cut` (complete on the second connection) or `refused`.
    """

    def __init__(self) -> None:
        self.cancels = 0
        self._created = 0
        super().__init__()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        method, path, _ = head.split(" ", 2)
        if "content-length: " in head:
            await reader.readexactly(int(head.split("content-length: ")[1].split("\r")[0]))
        kind, _, id = path.removeprefix("/streams/").partition("/")
        if path.endswith("/cancel"):
            self.cancels += 1
            return await reply_json(writer, 200, prediction("canceled", id=path.split("/")[3]))
        if method == "post":
            self._created += 1
            kind, id = path.split("/")[4], f"p{self._created}"
            urls = {"stream": f"{self.origin}/streams/{kind}/{id}"}
            return await reply_json(writer, 201, prediction(id=id, urls=urls))
        if not path.startswith("/streams/"):
            return await reply_json(writer, 200, prediction("succeeded", output=list("abc")))
        if kind == "refused":
            return await reply_json(writer, 400, {"detail": "no"})
        if kind == "cut" and "last-event-id" not in head:
            writer.write(HEAD + CHUNK[:40])
            await writer.drain()
            return False
        writer.write(HEAD + CHUNK)
        if kind == "held":
            await reader.read()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[FastServer]:
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)
    server = FastServer()
    yield server
    server.close()


def sockets() -> int:
    """Return the number of open sockets of this process, at both ends."""
    count = 0
    for entry in DESCRIPTORS.iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:  # the descriptor of the folder itself
            continue
    return count


class Steady:
    """The number of open sockets and tasks stays below that of a used client."""

    def __init__(self, server: FastServer, most: int) -> None:
        self._server = server
        self._most = most
        self._before = sockets()

    def check(self, number: int) -> None:
        # Each kept connection has two ends in this process.
        assert sockets() - self._before <= 2 * self._most, number
        assert self._server.open <= self._most, number


WAYS = ("whole", "held", "cut", "refused", "unread", "raises")


def model_of(way: str) -> str:
    return f"owner/{way if way in ('whole', 'held', 'cut', 'refused') else 'held'}"


async def run_one(client: AsyncClient, way: str) -> None:
    stream = client.stream(model_of(way), {})
    match way:
        case "unread":
            async with stream:
                return
        case "held":
            async with stream:
                async for event in stream:
                    assert str(event) == "a"
                    break
        case "raises":
            with pytest.raises(ZeroDivisionError):
                async with stream:
                    async for _ in stream:
                        raise ZeroDivisionError
        case "refused":
            with pytest.raises(Exception, match="400"):
                async with stream:
                    await anext(stream)
        case _:
            async with stream:
                events = [event async for event in stream]
            assert "".join(map(str, events)) == "abc"
            assert isinstance(events[-1], DoneEvent)


def run_one_sync(client: Client, way: str) -> None:
    stream = client.stream(model_of(way), {})
    match way:
        case "unread":
            with stream:
                return
        case "held":
            with stream:
                for event in stream:
                    assert str(event) == "a"
                    break
        case "raises":
            with pytest.raises(ZeroDivisionError), stream:
                for _ in stream:
                    raise ZeroDivisionError
        case "refused":
            with pytest.raises(Exception, match="400"), stream:
                next(stream)
        case _:
            with stream:
                events = list(stream)
            assert "".join(map(str, events)) == "abc"
            assert isinstance(events[-1], DoneEvent)


def canceled_by(ways: list[str]) -> int:
    return sum(way in ("held", "refused", "unread", "raises") for way in ways)


async def test_asyncio(fast: FastServer) -> None:
    ways = [WAYS[number % len(WAYS)] for number in range(STREAMS)]
    steady = Steady(fast, 2 * CONCURRENCY)
    tasks = asyncio.all_tasks()
    numbers = iter(range(STREAMS))

    async def work(client: AsyncClient) -> None:
        for number in numbers:
            await run_one(client, ways[number])
            if number % EVERY == 0:
                steady.check(number)

    async with AsyncClient(base_url=f"{fast.origin}/v1") as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work(client))
        assert asyncio.all_tasks() == tasks
        steady.check(STREAMS)
    await wait_until_disconnected(fast)
    assert asyncio.all_tasks() == tasks
    assert fast.cancels == canceled_by(ways)


async def test_asyncio_with_random_cancellations(fast: FastServer) -> None:
    """Cancel each run a moment later than the one before, from its create to its end."""
    steady = Steady(fast, 2 * CONCURRENCY)
    tasks = asyncio.all_tasks()
    numbers = iter(range(STREAMS // 5))

    async def work(client: AsyncClient) -> None:
        for number in numbers:
            task = asyncio.create_task(run_one(client, WAYS[number % 3]))
            await asyncio.sleep((number % 97) / 5000)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                assert task.exception() is None
            if number % EVERY == 0:
                steady.check(number)

    async with AsyncClient(base_url=f"{fast.origin}/v1") as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work(client))
        await until(lambda: asyncio.all_tasks() == tasks)
        steady.check(STREAMS)
    await wait_until_disconnected(fast)


def test_sync(fast: FastServer) -> None:
    ways = [WAYS[number % len(WAYS)] for number in range(STREAMS)]
    steady = Steady(fast, 2)
    threads = threading.active_count()
    with Client(base_url=f"{fast.origin}/v1") as client:
        for number, way in enumerate(ways):
            run_one_sync(client, way)
            if number % EVERY == 0:
                steady.check(number)
        assert threading.active_count() == threads
        steady.check(STREAMS)
    asyncio.run(wait_until_disconnected(fast))
    assert fast.cancels == canceled_by(ways)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not check():
            await asyncio.sleep(0.01)


async def wait_until_disconnected(server: FastServer) -> None:
    """Wait until all clients of the server have disconnected."""
    await until(lambda: server.open == 0)
