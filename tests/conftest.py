"""Fixtures of all tests: flavors, clients of each flavor, and fake servers."""

from __future__ import annotations

import gc
import inspect
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings

from dashscope.local.jobs import worker_pool
from tests import flavors
from tests.servers.fake_server import FakeServer
from tests.servers.prediction_server import PredictionServer
from tests.servers.shared_fork_server import SharedForkServer

pytest_plugins = ["dashscope.testing", "pytester"]

# Loading the authorities of the machine takes 40 ms, for each `httpx.get()` and each process. Tests
# trust one authority, which no server uses; those that verify a certificate add another.
os.environ["SSL_CERT_FILE"] = str(Path(__file__).parent / "servers" / "authority.pem")
os.environ["SSL_CERT_DIR"] = ""

# By default, hypothesis runs the same few examples each time and has no time limit. `nox -s soak`
# uses the profile `search` to look for new examples.
settings.register_profile(
    "search", max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "same", settings.get_profile("search"), max_examples=25, derandomize=True, database=None
)
settings.load_profile("same")


def pytest_collection_finish() -> None:
    """Exclude what collection left from garbage collection, which would take 0.3 s each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the machine."""
    for name in ("DASHSCOPE_API_TOKEN", "DASHSCOPE_BASE_URL", "DASHSCOPE_LOG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _no_known_servers() -> None:
    """Forget the addresses that responded: a later server may get the same port."""
    if (requestor := sys.modules.get("dashscope._api.requestor")) is not None:
        requestor._answered.clear()


@pytest.fixture(scope="session", autouse=True)
def _one_fork_server() -> Iterator[None]:
    """Fork the workers of all local servers from one process."""
    shared = SharedForkServer()
    with mock.patch.object(worker_pool, "make_launcher", shared.make_launcher):
        yield
    shared.close()


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log without the messages of shared local servers, which may run jobs of other tests."""

    def is_client_message(record: logging.LogRecord) -> bool:
        return not record.name.startswith("dashscope.local")

    caplog.handler.addFilter(is_client_message)
    yield caplog
    caplog.handler.removeFilter(is_client_message)


@pytest.fixture(params=flavors.params("asyncio", "trio", "sync"))
def flavor(request: pytest.FixtureRequest) -> str:
    """Run a test on asyncio, on trio and with the sync client; in the soak run, also on uvloop."""
    name: str = request.param
    return name


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a coroutine function in the test's flavor, by default on asyncio."""
    body = pyfuncitem.obj
    if not inspect.iscoroutinefunction(body):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(body).parameters}
    flavors.run(pyfuncitem.funcargs.get("flavor", "asyncio"), lambda: body(**arguments))
    return True


@pytest.fixture
def fake_server() -> Iterator[FakeServer]:
    """A server that sends the responses that the test scripts."""
    fake_server = FakeServer()
    yield fake_server
    fake_server.close()


@pytest.fixture
def other_fake_server() -> Iterator[FakeServer]:
    """A second fake server, with another origin."""
    other = FakeServer()
    yield other
    other.close()


@pytest.fixture
def prediction_server() -> Iterator[PredictionServer]:
    """A server that knows which predictions are running."""
    server = PredictionServer()
    yield server
    server.close()


@pytest.fixture
def unreachable_url() -> Iterator[str]:
    """A base URL whose port is bound but refuses connections, so no process can listen on it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/v1"


@pytest.fixture
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without a delay: the back-off has full jitter, and the random number is zero."""
    monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)


@pytest.fixture
def make_client(flavor: str) -> Iterator[Callable[..., Any]]:
    """Create clients of the test's flavor, used with `await` in all of them."""
    made: list[Any] = []

    def make(*args: Any, **options: Any) -> Any:
        client = flavors.make_client(flavor, *args, **options)
        made.append(client)
        return client

    yield make
    if flavor == "sync":
        for client in made:
            client.close()


@pytest.fixture
def scripted_client(make_client: Callable[..., Any], fake_server: FakeServer) -> Any:
    """A client of the fake server."""
    return make_client(base_url=fake_server.base_url)


@pytest.fixture
def with_token(make_client: Callable[..., Any], fake_server: FakeServer) -> Any:
    """A client that has a token for the fake server."""
    return make_client("r8_token", base_url=fake_server.base_url)
