"""Run the command line in this process, or as a separate process."""

from __future__ import annotations

import io
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dashscope.cli import dashscope as program
from tests.cli.process import Finished, Program, environment

AT_ANOTHER_DEFAULT = """
import sys
import dashscope._config
address = sys.argv.pop(1)
for name in ("dashscope._config", "dashscope.cli.session"):
    if module := sys.modules.get(name):
        module.DEFAULT_BASE_URL = address
from dashscope.__main__ import main
main()
"""


class CommandLine:
    """A folder to run `dashscope` in, and the environment it runs with.

    A call runs the command in this process, which takes milliseconds. `start()` runs it as a fork
    of a prepared process, for what depends on a process: signals, the exit, processes left behind.
    `start_python()` starts Python, which takes half a second. Temporary files and data go below the
    folder, where a test can look for them.

    Args:
        folder: The folder.
        env: Additional environment variables.
        default: A base URL to use as the default address. The real one may be in use.
    """

    def __init__(self, folder: Path, env: dict[str, str], *, default: str | None = None) -> None:
        self.folder = folder
        self.itself = (
            ("-m", "dashscope") if default is None else ("-c", AT_ANOTHER_DEFAULT, default)
        )
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._default = default
        self._env = {
            "TMPDIR": str(self.temporary),
            "XDG_DATA_HOME": str(folder / "data-home"),
            **env,
        }
        self._programs: list[Program] = []

    def __call__(
        self,
        *arguments: str | Path,
        env: dict[str, str] | None = None,
        stdin: bytes = b"",
        stdout: int | None = None,
        stderr: int | None = None,
        encoding: str = "utf-8",
    ) -> Finished:
        """Run a command in this process.

        Args:
            arguments: The arguments. A single one is split as a shell does.
            env: Additional environment variables.
            stdin: What the command reads from stdin.
            stdout: A file descriptor to use instead of capturing stdout.
            stderr: A file descriptor to use instead of capturing stderr.
            encoding: The encoding that stdout and stderr start with.
        """
        with pytest.MonkeyPatch.context() as patch:
            self._enter(patch, {**self._env, **(env or {})})
            return run_here(
                *arguments, stdin=stdin, stdout=stdout, stderr=stderr, encoding=encoding
            )

    def start(
        self, *arguments: str | Path, env: dict[str, str] | None = None, **options: Any
    ) -> Program:
        """Start a command as a process, without starting Python."""
        return self.start_python(*self.itself, *arguments, env=env, forked=True, **options)

    def start_python(
        self, *arguments: str | Path, env: dict[str, str] | None = None, **options: Any
    ) -> Program:
        """Start Python, in the same folder and environment."""
        program = Program(*arguments, cwd=self.folder, env={**self._env, **(env or {})}, **options)
        self._programs.append(program)
        return program

    def close(self) -> None:
        """Kill all programs that are still running."""
        for started in self._programs:
            started.kill()

    def _enter(self, patch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
        """Use the folder and the environment of the command."""
        patch.chdir(self.folder)
        patch.setattr(tempfile, "tempdir", str(self.temporary))
        for name in os.environ.keys() - environment().keys():
            patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        if self._default is not None:
            patch.setattr("dashscope._config.DEFAULT_BASE_URL", self._default)
            patch.setattr("dashscope.cli.session.DEFAULT_BASE_URL", self._default)


def run_here(
    *arguments: str | Path,
    stdin: bytes = b"",
    stdout: int | None = None,
    stderr: int | None = None,
    encoding: str = "utf-8",
) -> Finished:
    """Run a command in this process, in the current folder and environment."""
    words = [str(argument) for argument in arguments]
    if len(words) == 1:
        words = shlex.split(words[0])
    started = time.monotonic()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        out = stack.enter_context(_stream(stdout, encoding, "strict"))
        err = stack.enter_context(_stream(stderr, encoding, "backslashreplace"))
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        code = 0
        try:
            program(words, prog_name="dashscope")
        except SystemExit as end:
            if isinstance(end.code, str):
                err.write(f"{end.code}\n")
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Finished(code, _text(out), _text(err), time.monotonic() - started)


@contextmanager
def _stream(descriptor: int | None, encoding: str, errors: str) -> Iterator[io.TextIOWrapper]:
    raw: io.BufferedIOBase = io.BytesIO()
    if descriptor is not None:
        raw = os.fdopen(os.dup(descriptor), "wb")
    with io.TextIOWrapper(raw, encoding=encoding, errors=errors) as stream:
        yield stream


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    return buffer.getvalue().decode(stream.encoding) if isinstance(buffer, io.BytesIO) else ""
