"""The server side of a worker: sends it jobs, and reads its messages and its log."""

import asyncio
import codecs
import contextlib
import io
import json
import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from dashscope.local.jobs.launching import Launcher, Process, launch
from dashscope.local.worker import messages

STOP_GRACE: Final = 2.0
"""Seconds an idle worker has to exit before it is killed."""

DRAIN_GRACE: Final = 1.0
"""Seconds to wait for the remaining output of a dead worker.

A child process that left the worker's process group may keep the pipe open longer.
"""


class WorkerError(Exception):
    """A worker could not be started or has died. The message says how."""


class WorkerLostError(WorkerError):
    """The process of a worker was killed together with its supervisor, or has never started."""


@frozen(kw_only=True)
class Setup:
    """What a worker loads before its first job."""

    code: Path
    weights: Path | None
    memory: int | None


class Messages(asyncio.Protocol):
    """Reads the messages of a worker from its socket."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Queue each complete message."""
        self._data += data
        head = messages.LENGTH.size
        while len(self._data) >= head:
            end = head + messages.LENGTH.unpack(self._data[:head])[0]
            if len(self._data) < end:
                break
            self._queue.put_nowait(json.loads(self._data[head:end]))
            del self._data[:end]

    def connection_lost(self, exc: Exception | None) -> None:
        """Queue None, which ends the messages."""
        self._queue.put_nowait(None)
        self.closed.set()

    async def receive(self) -> dict[str, Any] | None:
        """Wait for the next message. Return None if the worker has closed the connection."""
        return await self._queue.get()


class LogReader(asyncio.Protocol):
    """Reads the log pipe of a worker and finds the marker that ends the output of a job."""

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        self._held = b""
        # A progress bar writes "\r" to return to the start of its line. In the log, each state
        # becomes a line, because clients parse the progress from lines.
        self._decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder("utf-8")("replace"), translate=True
        )
        self._ended = asyncio.Event()
        self.closed = asyncio.Event()
        self.sink: Callable[[str], None] | None = None

    def data_received(self, data: bytes) -> None:
        """Write text to the sink. Hold back bytes that may be the start of the marker."""
        data = self._held + data
        self._held = b""
        *ended, data = data.split(self._marker)
        for part in ended:
            self._write(part, final=True)
            self._ended.set()
        start = data.rfind(self._marker[:1], max(0, len(data) - len(self._marker)))
        if start >= 0 and self._marker.startswith(data[start:]):
            data, self._held = data[:start], data[start:]
        self._write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Treat the end of the pipe as the end of the job's output."""
        self._write(self._held, final=True)
        self._ended.set()
        self.closed.set()

    async def wait_for_marker(self) -> None:
        """Wait until all output of the job has been written to the sink."""
        # Without a marker, the model closed the pipe. Its log is complete as far as possible.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), DRAIN_GRACE)
        self._ended.clear()
        self.sink = None

    def _write(self, data: bytes, *, final: bool = False) -> None:
        text = self._decoder.decode(data, final)
        if final:
            self._decoder.reset()
        if text and self.sink is not None:
            self.sink(text)


class Worker:
    """A worker process, which runs one job at a time. ``alive`` is false once it has exited."""

    def __init__(self) -> None:
        self.alive = False
        self._nonce = secrets.token_hex(16)
        self._process: Process
        self._messages: Messages
        self._transport: asyncio.Transport
        self._log: LogReader
        self._log_transport: asyncio.ReadTransport
        self.ended: asyncio.Task[int | None]

    @classmethod
    async def start(cls, launcher: Launcher) -> "Worker":
        """Start a process that has not loaded a model yet."""
        worker = cls()
        worker._process, ours, log = launch(launcher)
        loop = asyncio.get_running_loop()
        worker._transport, worker._messages = await loop.create_connection(Messages, sock=ours)
        worker._log_transport, worker._log = await loop.connect_read_pipe(
            lambda: LogReader(messages.marker(worker._nonce)), log
        )
        worker.alive = True
        worker.ended = asyncio.create_task(worker._watch())
        return worker

    async def load(self, setup: Setup) -> None:
        """Load the code of a model in the worker.

        Raises:
            WorkerError: The code cannot be loaded, or the process has exited.
        """
        # The output of loading belongs to no job.
        self._log.sink = None
        self._send(
            code=os.fspath(setup.code),
            weights=os.fspath(setup.weights) if setup.weights else None,
            memory=setup.memory,
            nonce=self._nonce,
        )
        answer = await self._receive()
        if "refused" in answer:
            raise WorkerError(f"The model could not be loaded: {answer['refused']}")

    async def run(
        self,
        job: dict[str, Any],
        on_log: Callable[[str], None],
        on_part: Callable[[dict[str, Any]], None],
    ) -> dict[str, Any]:
        """Run a job in the worker. Return the last message, which says how the job ended.

        Raises:
            WorkerError: The process has exited.
        """
        self._log.sink = on_log
        self._send(**job)
        try:
            while not ({"done", "failed"} & (message := await self._receive()).keys()):
                on_part(message)
        finally:
            await self._log.wait_for_marker()
        return message

    def kill(self) -> None:
        """Kill the worker and its child processes immediately."""
        self.alive = False
        self._process.kill()

    async def stop(self) -> None:
        """Ask the worker to exit, and kill it after ``STOP_GRACE``."""
        self._transport.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.ended), STOP_GRACE)
        self.kill()
        await self.ended

    def _send(self, **message: Any) -> None:
        # If the worker has died, waiting for its answer raises.
        self._transport.write(messages.encode(message))

    async def _receive(self) -> dict[str, Any]:
        message = await self._messages.receive()
        if message is None:
            self.kill()
            code = await asyncio.shield(self.ended)
            if code is None:
                raise WorkerLostError(describe_exit(-signal.SIGKILL))
            raise WorkerError(describe_exit(code))
        return message

    async def _watch(self) -> int | None:
        """Wait for the process to exit, and kill the processes it left behind."""
        code = await self._process.wait()
        self.alive = False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_GRACE):
                await self._messages.closed.wait()
                await self._log.closed.wait()
        self._transport.abort()
        self._log_transport.close()
        await self._messages.closed.wait()
        await self._log.closed.wait()
        return code


def describe_exit(code: int) -> str:
    """Describe how a worker process ended."""
    if code >= 0:
        return f"The model's process exited with code {code} while running this job."
    name = signal.Signals(-code).name
    hint = " The machine may have run out of memory." if name == "SIGKILL" else ""
    return f"The model's process was killed by {name} while running this job.{hint}"
