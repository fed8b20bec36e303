"""Start Python programs as forks of a process that has imported the package.

Starting Python and importing the package takes half a second of CPU time, a fork some milliseconds.
A fork is a program like any other: it has its own arguments, environment, folder and streams, and
it ends as Python ends. It does not see variables that Python reads when it starts, such as
`PYTHONIOENCODING`. Options of Python are those of the prepared process: there is one for each
combination that the tests use.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from dashscope._common import logging

CLIENTS = ("dashscope._client", "dashscope._sync.generated")
"""What a program with options of Python finds imported. Its first call imports more."""
COMMANDS = (
    *CLIENTS,
    "dashscope.cli.actions",
    "dashscope.local.foreground",
    "dashscope.local.models.shipped",
    "dashscope._batch.batch",
    "dashscope._predictions.run",
    "dashscope._transport.sync_transport",
    "PIL.Image",
    "uvicorn.protocols.http.h11_impl",
)
"""What a command finds imported."""
STATUS = struct.Struct("i")


class Fork:
    """A program that runs as a fork, with the methods of `subprocess.Popen` that tests use.

    Args:
        arguments: Options of Python, then `-m` and a module, `-c` and code, or a file, then the
            arguments of the program.
        cwd: The folder of the program.
        env: The environment of the program.
        stdin: A descriptor or `subprocess.DEVNULL`.
        stdout: A descriptor or `subprocess.PIPE`.
        stderr: A descriptor or `subprocess.PIPE`.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: dict[str, str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> None:
        options, arguments = _split(arguments)
        setup = {"arguments": arguments, "folder": str(cwd), "environment": env}
        theirs = [
            os.open(os.devnull, os.O_RDONLY) if stdin == subprocess.DEVNULL else os.dup(stdin)
        ]
        self.stdout = _end(stdout, theirs)
        self.stderr = _end(stderr, theirs)
        self._status, status = os.pipe()
        theirs.append(status)
        socket.send_fds(_prepared_process(options), [json.dumps(setup).encode()], theirs)
        for descriptor in theirs:
            os.close(descriptor)
        self.pid = self._read_status()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None if the program is running."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait until the program has exited, and return the exit code."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"program {self.pid}", timeout or 0.0)
            self.returncode = os.waitstatus_to_exitcode(self._read_status())
            os.close(self._status)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the program has exited."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the program, unless it has exited."""
        self.send_signal(signal.SIGKILL)

    def _read_status(self) -> int:
        number: int = STATUS.unpack(os.read(self._status, STATUS.size))[0]
        return number


def _split(arguments: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Split the options of Python, such as `-X dev`, from the program and its arguments."""
    count = 0
    while arguments[count] in {"-X", "-W"}:
        count += 2
    return tuple(arguments[:count]), list(arguments[count:])


def _end(stream: int, theirs: list[int]) -> IO[bytes] | None:
    """Add the program's end of a stream to a list, and return our end of a pipe."""
    if stream != subprocess.PIPE:
        theirs.append(os.dup(stream))
        return None
    ours, end = os.pipe()
    theirs.append(end)
    return os.fdopen(ours, "rb")


@functools.cache
def _prepared_process(options: tuple[str, ...]) -> socket.socket:
    """Start the process that forks the programs. Return the socket for requests."""
    requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, *options, "-m", "tests.cli.forked", str(theirs.fileno())],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def stop() -> None:
        requests.close()
        process.wait()

    atexit.register(stop)
    return requests


def main() -> None:
    """Import the package, and fork a program for each request. Run the program in the fork."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    for name in CLIENTS if sys.warnoptions else COMMANDS:
        importlib.import_module(name)
    # At the end of a program, the garbage collector would visit all that was imported.
    gc.collect()
    gc.freeze()
    kind, *arguments = fork_programs(requests)
    if kind == "-m":
        name, *sys.argv[1:] = arguments
        runpy.run_module(name, run_name="__main__", alter_sys=True)
        return
    program = sys.modules["__main__"] = ModuleType("__main__")
    if kind == "-c":
        source, *arguments = arguments
        code = compile(source, "<string>", "exec")
    else:
        program.__file__ = kind
        code = compile(Path(kind).read_bytes(), kind, "exec")
    sys.argv[:] = [kind, *arguments]
    exec(code, program.__dict__)


def fork_programs(requests: socket.socket) -> list[str]:
    """Return the arguments of the program, in the fork that becomes the program."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not data:
            sys.exit()
        if os.fork() == 0:
            requests.close()
            *streams, status = descriptors
            _fork_and_report(status, streams)
            return _become_program(json.loads(data), streams)
        for descriptor in descriptors:
            os.close(descriptor)


def _fork_and_report(status: int, streams: list[int]) -> None:
    """Fork, and return in the child. The parent reports the process id and the exit status."""
    pid = os.fork()
    if pid == 0:
        os.close(status)
        return
    os.write(status, STATUS.pack(pid))
    for stream in streams:
        os.close(stream)
    _, ended = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):
        os.write(status, STATUS.pack(ended))
    os._exit(0)


def _become_program(setup: dict[str, Any], streams: list[int]) -> list[str]:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(setup["folder"])
    os.environ.clear()
    os.environ.update(setup["environment"])
    sys.path[0] = setup["folder"]
    importlib.invalidate_caches()
    logging.configure(os.environ.get("DASHSCOPE_LOG"))
    sys.stdin = _stream(0, "r", "strict")
    sys.stdout = _stream(1, "w", "strict")
    sys.stderr = _stream(2, "w", "backslashreplace")
    arguments: list[str] = setup["arguments"]
    return arguments


def _stream(descriptor: int, mode: str, errors: str) -> io.TextIOWrapper:
    raw = io.FileIO(descriptor, mode, closefd=False)
    buffer = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
    lines = descriptor == 2 or os.isatty(descriptor)
    return io.TextIOWrapper(buffer, encoding="utf-8", errors=errors, line_buffering=lines)


if __name__ == "__main__":
    main()
