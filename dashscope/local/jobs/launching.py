"""Launches worker processes: as forks of a prepared process, or with a separate Python process."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, runtime_checkable

from dashscope.local.worker import lifeline, messages, supervisor

EXIT_POLL: Final = 0.02
FORK_TIMEOUT: Final = 5.0
"""Seconds to wait until the fork server reads a request."""


@runtime_checkable
class Process(Protocol):
    """A worker process and its child processes."""

    def kill(self) -> None:
        """Kill all of them immediately."""
        ...

    async def wait(self) -> int | None:
        """Wait until the worker has exited, end its child processes, and return the exit code.

        Returns:
            The exit code. `None` if the worker was killed together with its supervisor, or has
            never started.
        """
        ...


@runtime_checkable
class Launcher(Protocol):
    """Starts worker processes."""

    def launch(self, held: int, lifeline_end: int, stdin: int, log: int) -> Process:
        """Start a process.

        Args:
            held: The read end of the lifeline, which the worker holds.
            lifeline_end: The write end of the lifeline, which the returned process owns.
            stdin: The worker's end of the socket.
            log: The write end of the log pipe.

        Raises:
            OSError: The process cannot be started.
        """
        ...

    async def stop(self) -> None:
        """End what the launcher itself has started."""
        ...


def make_launcher() -> Launcher:
    """Return the launcher for this platform."""
    return ForkServer() if lifeline.SUPERVISED else DirectLauncher()


def launch(launcher: Launcher) -> tuple[Process, socket.socket, BinaryIO]:
    """Start a process. Return it with the server's ends of its socket and its log pipe.

    Raises:
        OSError: The process cannot be started.
    """
    ours, theirs = socket.socketpair()
    log_read, log_write = os.pipe()
    held, lifeline_end = os.pipe()
    try:
        process = launcher.launch(held, lifeline_end, theirs.fileno(), log_write)
    except BaseException:
        ours.close()
        os.close(log_read)
        os.close(lifeline_end)
        raise
    finally:
        theirs.close()
        os.close(held)
        os.close(log_write)
    return process, ours, os.fdopen(log_read, "rb", buffering=0)


def environment() -> dict[str, str]:
    """Return the environment of a worker, which imports from the same folders as the server."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}


class ForkServer:
    """Launches workers as forks of one prepared process."""

    def __init__(self) -> None:
        self._running: tuple[subprocess.Popen[bytes], socket.socket] | None = None

    def launch(self, held: int, lifeline_end: int, stdin: int, log: int) -> Process:
        """Send the descriptors of a worker to the fork server."""
        folder = str(Path.cwd())
        setup: dict[str, Any] = {
            "folder": folder,
            "environment": environment(),
            "path": [folder, *(str(Path(path).absolute()) for path in sys.path)],
        }
        requests = self._start()
        status, theirs = os.pipe()
        try:
            send(requests, messages.encode(setup), [held, stdin, log, theirs])
        except BaseException:
            os.close(status)
            self._end()
            raise
        finally:
            os.close(theirs)
        return SupervisedProcess(status, lifeline_end)

    async def stop(self) -> None:
        """End the fork server."""
        if self._running is not None:
            process, requests = self._running
            requests.close()
            await exited(process)
            self._end()

    def _start(self) -> socket.socket:
        """Return the socket of the fork server. Start the fork server if it is not running."""
        if self._running is not None and self._running[0].poll() is not None:
            self._end()
        if self._running is None:
            requests, theirs = socket.socketpair()
            requests.settimeout(FORK_TIMEOUT)
            with theirs:
                process = start_python([], stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
            self._running = process, requests
        return self._running[1]

    def _end(self) -> None:
        if self._running is not None:
            process, requests = self._running
            self._running = None
            requests.close()
            process.kill()
            process.wait()


def start_python(
    arguments: Sequence[str],
    *,
    stdin: int,
    stdout: int,
    stderr: int | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start the Python of a worker or of the fork server in a separate session."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "dashscope.local.worker", *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        pass_fds=pass_fds,
        start_new_session=True,
        env=environment(),
    )


def send(connection: socket.socket, data: bytes, descriptors: list[int]) -> None:
    """Send data and descriptors over a socket."""
    sent = socket.send_fds(connection, [data], descriptors)
    connection.sendall(data[sent:])


class SupervisedProcess:
    """A fork, whose supervisor ends the worker and all its descendants."""

    def __init__(self, status: int, lifeline_end: int) -> None:
        self._status = status
        self._lifeline: int | None = lifeline_end

    def kill(self) -> None:
        """Close the lifeline, which the supervisor and the kernel watch."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    async def wait(self) -> int | None:
        """Wait for the status that the supervisor reports."""
        await readable(self._status)
        status = os.read(self._status, supervisor.STATUS.size)
        os.close(self._status)
        self.kill()
        if len(status) < supervisor.STATUS.size:
            return None
        return os.waitstatus_to_exitcode(supervisor.STATUS.unpack(status)[0])


class DirectLauncher:
    """Launches a Python for each worker. Used outside Linux."""

    def launch(self, held: int, lifeline_end: int, stdin: int, log: int) -> Process:
        """Start the Python of a worker."""
        process = start_python([str(held)], pass_fds=[held], stdin=stdin, stdout=log, stderr=log)
        return DirectProcess(process, lifeline_end)

    async def stop(self) -> None:
        """Do nothing: every worker ends by itself."""


class DirectProcess:
    """A worker with a separate Python process, and the child processes in its group."""

    def __init__(self, process: subprocess.Popen[bytes], lifeline_end: int) -> None:
        self._process = process
        self._lifeline = lifeline_end

    def kill(self) -> None:
        """Kill the process group, or the process if the platform has no process groups."""
        if self._process.returncode is not None:
            return
        if not hasattr(os, "killpg"):
            self._process.kill()
            return
        # The process is not reaped yet, so the process group id is still valid.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def wait(self) -> int:
        """Wait for the process to exit, and kill the processes it left behind."""
        await exited(self._process)
        self.kill()
        os.close(self._lifeline)
        return self._process.wait()


async def exited(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has exited, without reaping it."""
    if not hasattr(os, "waitid"):
        # Without process groups, nothing needs the process id after the exit.
        while process.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(EXIT_POLL)
        return
    if not hasattr(os, "pidfd_open"):
        # Outside Linux, poll for the exit.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, process.pid, flags) is None:  # noqa: ASYNC110, ASYNC222
            await asyncio.sleep(EXIT_POLL)
        return
    descriptor = os.pidfd_open(process.pid)
    try:
        await readable(descriptor)
    finally:
        os.close(descriptor)


async def readable(descriptor: int) -> None:
    """Wait until a descriptor is readable."""
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)
