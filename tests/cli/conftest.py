"""A local server with the tests' models, and the command line that is pointed at it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dashscope import Client
from dashscope import cli as package
from dashscope.local import LocalServer
from tests.cli.command import CommandLine
from tests.cli.terminal import Terminal
from tests.end_to_end import models

Typed: TypeAlias = Callable[..., Result]
"""The command line in this process: what is typed after `dashscope `, and what it gave."""


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """The server that the commands talk to."""
    with LocalServer(models=models.__file__) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: LocalServer) -> Iterator[Client]:
    """A client that looks at the server behind the command's back."""
    with Client(base_url=server.base_url) as client:
        yield client


@pytest.fixture
def dashscope(tmp_path: Path, server: LocalServer) -> Iterator[CommandLine]:
    """The command `dashscope` in a folder of its own, with the server as its address."""
    command = CommandLine(tmp_path, {"DASHSCOPE_BASE_URL": server.base_url})
    yield command
    command.close()


@pytest.fixture
def without_address(tmp_path: Path, nobody: str) -> Iterator[CommandLine]:
    """The command `dashscope` with no address configured, and nobody at the default one."""
    command = CommandLine(tmp_path, {}, default=nobody)
    yield command
    command.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A real PNG, twice as wide as high."""
    path = tmp_path / "photo.png"
    Image.effect_noise((400, 200), 80).save(path)
    return path


@pytest.fixture
def typed(tmp_path: Path, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """What the command gives, without the price of a process for each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def run(line: str, stdin: bytes | None = None) -> Result:
        done = CliRunner().invoke(
            package.dashscope, shlex.split(line), input=stdin, prog_name="dashscope"
        )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A pseudo-terminal."""
    terminal = Terminal()
    yield terminal
    terminal.close()
