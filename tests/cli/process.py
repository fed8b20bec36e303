"""Run Python programs as processes, and check their output and their child processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from attrs import frozen

from tests.cli.forked import Fork

ROOT = Path(__file__).parents[2]
CHECKED = ("-X", "dev", "-W", "error")
"""Options of Python that show what a program does wrong."""
TIMEOUT = 90.0
"""Seconds after which a program is considered hung, even on a busy machine."""

_MARK = "PROGRAM_OF_THE_TESTS"


@frozen
class Finished:
    """The exit code and the output of a program."""

    code: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def output(self) -> str:
        """Stdout followed by stderr."""
        return self.stdout + self.stderr


class Program:
    """A Python program that runs as a process with a clean environment.

    Args:
        arguments: The arguments of Python.
        cwd: The folder of the program.
        env: Additional environment variables.
        forked: Fork a process that has imported the package instead of starting Python.
        options: Options of `subprocess.Popen`.
    """

    def __init__(
        self,
        *arguments: str | Path,
        cwd: Path,
        env: dict[str, str] | None = None,
        forked: bool = False,
        **options: Any,
    ) -> None:
        self._mark = uuid.uuid4().hex
        self._started = time.monotonic()
        options = {
            "cwd": cwd,
            "env": {**environment(), **(env or {}), _MARK: self._mark},
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        }
        words = [str(argument) for argument in arguments]
        self._process: subprocess.Popen[bytes] | Fork
        with interruptible():
            if forked:
                self._process = Fork(words, **options)
            else:
                self._process = subprocess.Popen([sys.executable, *words], **options)
        self.pid = self._process.pid
        self._stdout = _Collected(self._process.stdout)
        self._stderr = _Collected(self._process.stderr)

    def wait_for_stdout(self, pattern: str, *, within: float = TIMEOUT) -> re.Match[str]:
        """Wait until stdout matches a pattern."""
        return self._stdout.wait_for(pattern, within)

    def wait_for_stderr(self, pattern: str, *, within: float = TIMEOUT) -> re.Match[str]:
        """Wait until stderr matches a pattern."""
        return self._stderr.wait_for(pattern, within)

    @property
    def output(self) -> str:
        """The output so far: stdout followed by stderr."""
        return self._stdout.text + self._stderr.text

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process, but not to its children."""
        self._process.send_signal(number)

    def finish(self, *, within: float = TIMEOUT) -> Finished:
        """Wait until the process has exited."""
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"still running after {within} s; stdout: {self._stdout.text!r}, "
                f"stderr: {self._stderr.text!r}"
            ) from None
        seconds = time.monotonic() - self._started
        if not (self._stdout.join(within) and self._stderr.join(within)):
            left = self.remaining_children(within=0)
            self.kill()
            raise AssertionError(f"child processes are still running: {left}")
        return Finished(code, self._stdout.text, self._stderr.text, seconds)

    def remaining_children(self, *, within: float = 10.0) -> list[str]:
        """Return the command lines of children that still run after `within` seconds."""
        end = time.monotonic() + within
        while (left := self._family()) and time.monotonic() < end:
            time.sleep(0.05)
        return [command for _, command in left]

    def kill(self) -> None:
        """Kill the process and its remaining children."""
        self._process.kill()
        self._process.wait()
        for pid, _ in self._family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._stdout.join()
        self._stderr.join()

    def _family(self) -> list[tuple[int, str]]:
        needle = f"{_MARK}={self._mark}".encode()
        left: list[tuple[int, str]] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if int(folder.name) == self.pid or needle not in (folder / "environ").read_bytes():
                    continue
                command = (folder / "cmdline").read_bytes().decode().replace("\0", " ")
            except OSError:
                continue
            left.append((int(folder.name), command))
        return left


@contextmanager
def programs(folder: Path) -> Iterator[Callable[..., Program]]:
    """Yield a function that forks programs in a folder. Kill them at the end of the block."""
    started: list[Program] = []

    def start(source: str, *arguments: str) -> Program:
        program = Program(*CHECKED, "-c", source, *arguments, cwd=folder, forked=True)
        started.append(program)
        return program

    yield start
    for program in started:
        program.kill()


class _Collected:
    """The output of a program, read by a thread so that the program never blocks."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._stream = stream
        self._data = b""
        self._more = threading.Condition()
        self._ended = stream is None
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @property
    def text(self) -> str:
        return self._data.decode(errors="replace")

    def wait_for(self, pattern: str, within: float) -> re.Match[str]:
        end = time.monotonic() + within
        with self._more:
            while (match := re.search(pattern, self.text)) is None:
                left = end - time.monotonic()
                assert left > 0, f"{pattern!r} not seen within {within} s in {self.text!r}"
                assert not self._ended, f"{pattern!r} not in {self.text!r}"
                self._more.wait(left)
        return match

    def join(self, within: float = TIMEOUT) -> bool:
        """Wait until the last process that writes to the stream has exited."""
        self._thread.join(within)
        return not self._thread.is_alive()

    def _read(self) -> None:
        if self._stream is not None:
            with self._stream:
                while data := os.read(self._stream.fileno(), 65536):
                    with self._more:
                        self._data += data
                        self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()


@contextmanager
def interruptible() -> Iterator[None]:
    """Restore the default SIGINT handler for a program: shells ignore SIGINT in background jobs."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def environment() -> dict[str, str]:
    """Return the environment without settings of Dashscope or of a terminal."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DASHSCOPE_")
        and name not in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE")
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"}
