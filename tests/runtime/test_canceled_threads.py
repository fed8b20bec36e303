"""A canceled call returns when its thread has ended, and leaves no file or descriptor behind.

A thread cannot be canceled. Each test cancels a call natively and by a scope while its thread is
running, and then checks the files and locks of the thread.
"""

from __future__ import annotations

import asyncio
import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from attrs import define, field

from dashscope import AsyncClient
from dashscope._batch.checkpoint.sqlite import SqliteStore
from dashscope._runtime import threads
from tests import flavors
from tests.batch.checkpoints import stored
from tests.servers.fake_server import FakeServer, Reply, reply
from tests.waiting import wait_until

SLOW = 0.05
HOW = [
    pytest.param(("asyncio", True), id="asyncio"),
    pytest.param(("uvloop", True), id="uvloop", marks=pytest.mark.soak),
    pytest.param(("asyncio", False), id="asyncio-scope"),
    pytest.param(("trio", False), id="trio-scope"),
]


@pytest.fixture(params=HOW)
def how(request: pytest.FixtureRequest) -> tuple[str, bool]:
    """The flavor, and whether the cancellation is native."""
    how: tuple[str, bool] = request.param
    if how[0] == "uvloop":
        pytest.importorskip("uvloop")
    return how


@define
class Slowed:
    """A slowed-down function.

    Attributes:
        function: The original function.
        only: Returns whether a call is slow, by its arguments.
        until: The event that slow calls wait for. By default they take `SLOW` seconds.
        reached: Set when a slow call has started.
        running: The number of running slow calls.
    """

    function: Callable[..., Any]
    only: Callable[..., bool] = lambda *_: True
    until: threading.Event | None = None
    reached: threading.Event = field(factory=threading.Event)
    running: int = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.only(*args):
            return self.function(*args, **kwargs)
        self.running += 1
        try:
            self.reached.set()
            if self.until is None:
                time.sleep(SLOW)
            else:
                self.until.wait(10)
            return self.function(*args, **kwargs)
        finally:
            self.running -= 1


async def cancel_when(call: Callable[[], Any], when: threading.Event, *, native: bool) -> None:
    """Cancel a call when an event is set, and wait until it has raised the cancellation."""
    if native:
        task = asyncio.ensure_future(call())
        while not when.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return
    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def within() -> None:
            with scope:
                await call()

        group.start_soon(within)
        while not when.is_set():
            await anyio.sleep(0.001)
        scope.cancel()
    assert scope.cancelled_caught


class Descriptors:
    """Records the descriptors of partial files, each of which must be closed once."""

    def __init__(self, patch: pytest.MonkeyPatch, slow: str, until: Any = None) -> None:
        self.opened: list[int] = []
        self.closed: list[int] = []
        open_, write, close, link = os.open, os.write, os.close, os.link

        def is_ours(descriptor: Any, *_: Any) -> bool:
            return descriptor in self.opened

        def opening(path: Any, *args: Any, **kwargs: Any) -> int:
            descriptor = open_(path, *args, **kwargs)
            if str(path).endswith(".part"):
                self.opened.append(descriptor)
            return descriptor

        def closing(descriptor: int) -> None:
            if is_ours(descriptor):
                self.closed.append(descriptor)
            close(descriptor)

        functions: dict[str, Callable[..., Any]] = {
            "open": opening,
            "write": write,
            "close": closing,
            "link": link,
        }
        self.slow = Slowed(
            functions[slow],
            (lambda path, *_: str(path).endswith(".part")) if slow in ("open", "link") else is_ours,
            until,
        )
        for name, function in functions.items():
            patch.setattr(os, name, self.slow if name == slow else function)


@pytest.fixture
def large(fake_server: FakeServer) -> None:
    """A server with a file of 3 MB."""
    fake_server.respond_with(Reply(200, {"content-type": "image/png"}, bytes(3_000_000)))


async def save(client: Any, target: Path) -> None:
    """Save the file."""
    async with client.files.download("f", owner="o", expiry=1, signature="s") as download:
        await download.save(target)


@pytest.mark.parametrize("step", ["open", "write", "close", "link"])
def test_a_canceled_save_leaves_no_file_and_closes_its_descriptor_once(
    how: tuple[str, bool], large: None, fake_server: FakeServer, tmp_path: Path, step: str
) -> None:
    flavor, native = how
    victim = tmp_path / "victim"

    async def body() -> None:
        with pytest.MonkeyPatch.context() as patch:
            descriptors = Descriptors(patch, step)
            async with AsyncClient(base_url=fake_server.base_url) as client:
                target = tmp_path / "photo.png"
                await cancel_when(
                    lambda: save(client, target), descriptors.slow.reached, native=native
                )
                with victim.open("wb"):  # gets the same descriptor number
                    assert descriptors.slow.running == 0
                    assert len(descriptors.opened) == 1
                    assert descriptors.closed == descriptors.opened
        # If it is canceled at its last step, the file is complete.
        assert {path.name for path in tmp_path.iterdir()} <= {"victim", "photo.png"}
        assert target.exists() == (step == "link")

    flavors.run(flavor, body)
    assert victim.read_bytes() == b""


def test_a_thread_that_does_not_end_in_time_cleans_up_itself(
    how: tuple[str, bool],
    large: None,
    fake_server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flavor, native = how
    monkeypatch.setattr(threads, "GRACE", 0.01)
    release = threading.Event()
    descriptors = Descriptors(monkeypatch, "write", release)

    async def body() -> None:
        async with AsyncClient(base_url=fake_server.base_url) as client:
            await cancel_when(
                lambda: save(client, tmp_path / "photo.png"),
                descriptors.slow.reached,
                native=native,
            )
        assert descriptors.closed == []
        release.set()
        await anyio.to_thread.run_sync(wait_until, lambda: list(tmp_path.iterdir()) == [])

    flavors.run(flavor, body)
    assert descriptors.closed == descriptors.opened


@pytest.mark.parametrize("step", ["open", "write", "close"])
def test_an_interrupted_save_leaves_no_file(
    large: None, fake_server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    descriptors = Descriptors(monkeypatch, step)
    slowed = descriptors.slow.function

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        result = slowed(*args, **kwargs)
        signal.raise_signal(signal.SIGTERM)
        return result

    def terminate(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    descriptors.slow.function = interrupted
    client = flavors.make_client("sync", base_url=fake_server.base_url)
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        with pytest.raises(KeyboardInterrupt):
            flavors.run("sync", lambda: save(client, tmp_path / "photo.png"))
    finally:
        descriptors.slow.function = slowed
        signal.signal(signal.SIGTERM, before)
        client.close()
    assert list(tmp_path.iterdir()) == []
    assert descriptors.closed == descriptors.opened


class SlowFile(io.BytesIO):
    """A file with slow reads."""

    def __init__(self, content: bytes, *, seekable: bool = True) -> None:
        super().__init__(content)
        self.is_seekable = seekable
        self.slow = Slowed(super().read, lambda size: size > 1)

    def read(self, size: int | None = -1, /) -> bytes:
        content: bytes = self.slow(size)
        return content

    def seekable(self) -> bool:
        return self.is_seekable


def calls(client: AsyncClient, file: Any) -> Iterator[Callable[[], Any]]:
    yield lambda: client.files.create(file)
    yield lambda: client.run("owner/name", {"image": file})
    yield lambda: client.run("owner/name", {"image": file}, file_encoding="upload")
    yield lambda: client.request("POST", "/files", files={"content": file})


def test_no_thread_reads_the_file_of_a_canceled_upload(
    how: tuple[str, bool], fake_server: FakeServer, tmp_path: Path
) -> None:
    flavor, native = how
    fake_server.respond_with(reply({"id": "f1"}, 201))
    path = tmp_path / "photo.png"
    path.write_bytes(bytes(200_000))

    async def body() -> None:
        async with AsyncClient(base_url=fake_server.base_url) as client:
            for number in range(4):
                for seekable in (True, False):
                    file = SlowFile(bytes(200_000), seekable=seekable)
                    call = list(calls(client, file))[number]
                    await cancel_when(call, file.slow.reached, native=native)
                    assert file.slow.running == 0
                    if seekable:
                        assert file.tell() == 0  # back at its original position
                with pytest.MonkeyPatch.context() as patch:
                    slow = Slowed(Path.open, lambda opened, *_: opened == path)
                    patch.setattr(Path, "open", lambda *args, s=slow: s(*args))
                    call = list(calls(client, path))[number]
                    await cancel_when(call, slow.reached, native=native)
                    assert slow.running == 0

    flavors.run(flavor, body)


def test_a_canceled_batch_closes_its_checkpoint(
    how: tuple[str, bool], fake_server: FakeServer, tmp_path: Path
) -> None:
    flavor, native = how
    fake_server.respond_with(reply({"detail": "no"}, 422))

    async def body() -> None:
        async with AsyncClient(base_url=fake_server.base_url) as client:
            for step in ("open", "read", "write", "close"):
                path = tmp_path / f"{step}.checkpoint"

                async def call(path: Path = path) -> None:
                    inputs = [{"n": number} for number in range(3)]
                    async with client.map("owner/name", inputs, checkpoint=path) as batch:
                        async for _ in batch:
                            pass

                if step == "read":
                    await call()
                with pytest.MonkeyPatch.context() as patch:
                    slow = Slowed(getattr(SqliteStore, step))
                    patch.setattr(SqliteStore, step, lambda *args, s=slow: s(*args))
                    await cancel_when(call, slow.reached, native=native)
                    assert slow.running == 0
                assert not path.with_name(path.name + "-wal").exists()
                stored(path)  # not locked
                await call()

    flavors.run(flavor, body)


def test_closing_a_batch_while_its_checkpoint_opens_leaves_no_lock(
    tmp_path: Path, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "GRACE", 0.01)
    path, release = tmp_path / "x.checkpoint", threading.Event()
    slow = Slowed(SqliteStore.open, until=release)
    monkeypatch.setattr(SqliteStore, "open", lambda *args: slow(*args))

    async def body() -> None:
        async with AsyncClient(base_url=fake_server.base_url) as client:
            batch = client.map("owner/name", [{}], checkpoint=path)
            entering = asyncio.ensure_future(batch.__aenter__())
            while not slow.reached.is_set():
                await asyncio.sleep(0.001)
            entering.cancel()
            threading.Timer(SLOW, release.set).start()
            with pytest.raises(asyncio.CancelledError):
                await entering
        await asyncio.to_thread(wait_until, lambda: slow.running == 0)
        stored(path)

    asyncio.run(body())
