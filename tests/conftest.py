"""What tests are run with: the flavors, a local server, and a fake server that misbehaves."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import flavors
from tests.fake_server import FakeServer

pytest_plugins = ["dashscope.testing", "pytester"]

# The same code passes or fails however slow a machine is, and whatever the dice say; new examples
# are for those to look for who have the time: `--hypothesis-profile search`, as in `nox -s soak`.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("search"), derandomize=True, database=None)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests know no configuration but their own."""
    for name in ("DASHSCOPE_API_TOKEN", "DASHSCOPE_BASE_URL", "DASHSCOPE_LOG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=flavors.FLAVORS)
def flavor(request: pytest.FixtureRequest) -> str:
    """Each way to wait; a test body that takes it, or a client, runs in all of them."""
    name: str = request.param
    if name == "uvloop":
        pytest.importorskip("uvloop")
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
    """A server that says what the test scripts."""
    fake_server = FakeServer()
    yield fake_server
    fake_server.close()


@pytest.fixture
def nobody() -> Iterator[str]:
    """A base URL where nobody answers, and where nobody else can begin to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"


@pytest.fixture
def make_client(flavor: str) -> Iterator[Callable[..., Any]]:
    """Makes clients of the test's flavor, used with `await` in all of them."""
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
    """A client of the misbehaving server."""
    return make_client(base_url=fake_server.base_url)
