"""A local server with the models of the tests, and the command line configured to use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from PIL import Image

from dashscope.local import LocalServer
from tests.cli.command import CommandLine, run_here
from tests.cli.process import Finished
from tests.cli.terminal import Terminal
from tests.client.conftest import observer as client
from tests.client.conftest import server

__all__ = ["client", "server"]

RunCLI: TypeAlias = Callable[..., Finished]
"""Runs the command line in this process."""


@pytest.fixture
def dashscope(tmp_path: Path, server: LocalServer) -> Iterator[CommandLine]:
    """The command `dashscope` in a temporary folder, configured to use the server."""
    command = CommandLine(tmp_path, {"DASHSCOPE_BASE_URL": server.base_url})
    yield command
    command.close()


@pytest.fixture
def without_address(tmp_path: Path, unreachable_url: str) -> Iterator[CommandLine]:
    """The command `dashscope` without a configured server, and no server at the default address."""
    command = CommandLine(tmp_path, {}, default=unreachable_url)
    yield command
    command.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A real PNG, twice as wide as high."""
    path = tmp_path / "photo.png"
    Image.effect_noise((400, 200), 80).save(path)
    return path


@pytest.fixture
def run_cli(tmp_path: Path, server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> RunCLI:
    """Run the command line in this process, in the temporary folder."""
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
