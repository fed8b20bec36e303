"""The runner of a worker: loads the code of a model and runs jobs one by one.

Standard input is a socket to the server. Standard output and error are the log, including the
output of C code and child processes. When the server exits, the worker and its child processes
exit too.
"""

import asyncio
import inspect
import io
import os
import queue
import signal
import socket
import sys
import threading
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from dashscope.local.decorator import spec_of
from dashscope.local.models.code import Code, CodeError, describe
from dashscope.local.type_guards import is_iterator
from dashscope.local.worker import lifeline, messages
from dashscope.local.worker.inputs import Arguments
from dashscope.local.worker.outputs import OutputEncoder, text

ERROR_LIMIT: Final = 10_000
"""Maximum characters of the error of a job, which lists contain."""


class Server:
    """The worker's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pid = os.getpid()
        self._reader = connection.makefile("rb")
        self._messages: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._busy = threading.Event()
        threading.Thread(target=self._listen, name="server", daemon=True).start()

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next message. Return None if the server has closed the connection."""
        self._busy.clear()
        message = self._messages.get()
        self._busy.set()
        return message

    def send(self, **message: Any) -> None:
        """Send a message."""
        if os.getpid() != self._pid:
            # The model forked, and the child returned from the model. Only the parent may send.
            os._exit(0)
        self._connection.sendall(messages.encode(message))

    def _listen(self) -> None:
        while (message := messages.read(self._reader)) is not None:
            self._messages.put(message)
        if self._busy.is_set():
            # The server has died during a job. Kill the model and its child processes.
            lifeline.end_group()
        self._messages.put(None)


def run_model(
    function: Callable[..., Any], arguments: dict[str, Any], encoder: OutputEncoder, server: Server
) -> None:
    """Call a model and send its result. Send each part of a generator separately."""

    def send_part(value: Any) -> None:
        server.send(part=encoder.encode(value), files=encoder.take())

    async def drain(parts: AsyncIterator[Any]) -> None:
        async for part in parts:
            send_part(part)

    result: object = function(**arguments)
    if inspect.isasyncgen(result):
        asyncio.run(drain(result))
        server.send(done=True)
        return
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    if is_iterator(result):
        for part in result:
            send_part(part)
        server.send(done=True)
        return
    server.send(done=True, part=encoder.encode(result), files=encoder.take())


def run_job(
    function: Callable[..., Any], weights: Path | None, job: dict[str, Any], server: Server
) -> None:
    """Run one job, and send its result or error."""
    folder = Path(job["folder"])
    spec = spec_of(function)
    if job["train"] and spec is not None and spec.train is not None:
        function = spec.train
    try:
        arguments = Arguments(function, folder, job["files"]).prepare(job["input"], weights)
        run_model(function, arguments, OutputEncoder(folder), server)
    except BaseException as error:  # noqa: BLE001
        # SystemExit and KeyboardInterrupt, too, end the prediction and not the worker.
        traceback.print_exception(type(error), error, model_traceback(error.__traceback__))
        server.send(failed=message_of(error))


def message_of(error: BaseException) -> str:
    """Return the message of an error, or its class name if it has none. The log has all of it."""
    try:
        message = text(str(error))
    except Exception:  # noqa: BLE001
        # The model defines this exception, and its conversion to a string fails.
        message = ""
    if len(message) > ERROR_LIMIT:
        message = f"{message[:ERROR_LIMIT]}… ({len(message)} characters)"
    return message or type(error).__name__


def model_traceback(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback inside the model, or all of it if there is none."""
    own = trace
    while own is not None and own.tb_frame.f_code.co_filename == __file__:
        own = own.tb_next
    return own or trace


def unbuffered(descriptor: int) -> io.TextIOWrapper:
    """Return a stream that writes text at once, so that the log is live and complete."""
    file = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(file, "utf-8", "backslashreplace", write_through=True)


def limit_memory(limit: int | None) -> None:
    """Limit the memory of the process. If memory runs out, the kernel kills this process first."""
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text("1000")
    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def main(descriptor: int) -> None:
    """Run jobs until the server closes the socket.

    Args:
        descriptor: The read end of the lifeline.
    """
    lifeline.hold(descriptor)
    # The model must not see the arguments of the worker.
    del sys.argv[1:]
    server = Server(socket.socket(fileno=os.dup(0)))
    # Neither the model nor its child processes may read from the server's socket.
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    log = os.dup(2)
    streams = sys.stdout, sys.stderr = unbuffered(1), unbuffered(2)
    sys.__dict__.update(__stdout__=sys.stdout, __stderr__=sys.stderr)
    setup = server.receive()
    if setup is None:
        return
    try:
        limit_memory(setup["memory"])
        function = Code.read(Path(setup["code"])).load()
    except (CodeError, OSError, ValueError) as error:
        traceback.print_exception(error)
        server.send(refused=describe(error))
        return
    weights = Path(setup["weights"]) if setup["weights"] else None
    end = messages.marker(setup["nonce"])
    server.send(ready=True)
    while (job := server.receive()) is not None:
        run_job(function, weights, job, server)
        # The model may have replaced the streams. Restore them for the next job.
        sys.stdout, sys.stderr = streams
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.write(log, end)
    # The server has closed the connection. End the child processes of the model.
    if hasattr(os, "killpg"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)
