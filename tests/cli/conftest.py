"""A local server with the tests' models, and the command line that is pointed at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from PIL import Image

from dashscope import Client
from dashscope.local import LocalServer
from tests.cli.command import CommandLine, run_here
from tests.cli.process import Finished
from tests.cli.terminal import Terminal
from tests.client import models

Typed: TypeAlias = Callable[..., Finished]
"""Runs the command line in this process."""


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    """The server that the commands talk to."""
    with LocalServer(models=models.__file__, strict_inputs=True) as server:
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
    """The command line in this process, in the test's own folder and environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return run_here


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A pseudo-terminal."""
    terminal = Terminal()
    yield terminal
    terminal.close()
