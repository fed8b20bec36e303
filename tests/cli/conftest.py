"""A local server with the tests' models, and the command line that is pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from dashscope import Client
from dashscope.local import LocalServer
from tests.cli.command import CommandLine
from tests.end_to_end import models


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
def without_address(tmp_path: Path) -> Iterator[CommandLine]:
    """The command `dashscope` with no address configured."""
    command = CommandLine(tmp_path, {})
    yield command
    command.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A real PNG, twice as wide as high."""
    path = tmp_path / "photo.png"
    Image.effect_noise((400, 200), 80).save(path)
    return path
