"""The pytest plugin: models that are functions of the test, and recorded traffic.

pytest loads this module at startup in every project that has the package installed. So the module
imports the package only when a fixture is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from dashscope import AsyncClient, Client
    from dashscope.testing.recording import record
    from dashscope.testing.replaying import UnexpectedRequestError, replay
    from dashscope.testing.server import ModelServer
    from dashscope.testing.traffic import Traffic

__all__ = ["ModelServer", "Traffic", "UnexpectedRequestError", "record", "replay"]

LONGEST_NAME: Final = 100
"""The longest part of a test's name in a file name, in characters."""

_MODULES: Final = {
    "ModelServer": "server",
    "Traffic": "traffic",
    "UnexpectedRequestError": "replaying",
    "record": "recording",
    "replay": "replaying",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'dashscope.testing' has no attribute {name!r}")
    return getattr(import_module(f"dashscope.testing.{_MODULES[name]}"), name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--dashscope-record`."""
    parser.getgroup("dashscope").addoption(
        "--dashscope-record",
        action="store_true",
        help="Send the requests of tests with dashscope_traffic to the real API, and record them.",
    )


@pytest.fixture(scope="session")
def _dashscope_local_server() -> Iterator[Any]:
    try:
        from dashscope.local import LocalServer
    except ModuleNotFoundError as error:
        from dashscope._common.installing import install_command

        needs = f"This fixture requires {error.name}: {install_command('testing')}"
        pytest.fail(needs, pytrace=False)
    with LocalServer(strict_inputs=True) as server:
        yield server


@pytest.fixture
def dashscope_server(
    _dashscope_local_server: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModelServer]:
    """A local server whose models are functions of the test.

    The server runs for the whole test run. Models and assertions belong to the test. The fixture
    sets `DASHSCOPE_BASE_URL`, so that clients of the code under test use the server.
    """
    from dashscope.testing.server import ModelServer

    with ModelServer(_dashscope_local_server) as server:
        monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
        monkeypatch.delenv("DASHSCOPE_API_TOKEN", raising=False)
        yield server


@pytest.fixture
def dashscope_client(dashscope_server: ModelServer) -> Iterator[Client]:
    """A `Client` of `dashscope_server`."""
    from dashscope import Client

    with Client(base_url=dashscope_server.base_url) as client:
        yield client


@pytest.fixture(scope="session")
def _dashscope_async_clients() -> list[AsyncClient]:
    # Keeps the clients until the test's event loop has closed their connections.
    return []


@pytest.fixture
def dashscope_async_client(
    dashscope_server: ModelServer, _dashscope_async_clients: list[AsyncClient]
) -> AsyncClient:
    """An `AsyncClient` of `dashscope_server`, for the event loop of the test."""
    from dashscope import AsyncClient

    client = AsyncClient(base_url=dashscope_server.base_url)
    _dashscope_async_clients.append(client)
    return client


@pytest.fixture
def dashscope_traffic(request: pytest.FixtureRequest) -> Iterator[Traffic]:
    """Clients that get recorded responses from `traffic/` next to the test's file.

    With `--dashscope-record` they send requests to the real API, and the test's file is rewritten.
    """
    from dashscope.testing.recording import record
    from dashscope.testing.replaying import replay

    path = request.path.parent / "traffic" / f"{_file_name(request.node)}.jsonl"
    recording = request.config.getoption("--dashscope-record")
    with record(path) if recording else replay(path) as traffic:
        yield traffic


def _file_name(test: pytest.Item) -> str:
    """Return a file name for the test that is unique in its folder."""
    classes = [node.name for node in test.listchain() if isinstance(node, pytest.Class)]
    whole = ".".join([test.path.stem, *classes, test.name.replace("[", "-", 1).removesuffix("]")])
    name = re.sub(r"[^\w.-]+", "-", whole)[:LONGEST_NAME]
    if name == whole:
        return name
    return f"{name}.{sha256(whole.encode()).hexdigest()[:8]}"
