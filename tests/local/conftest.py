"""A local server with the models of `models.py`, and plain HTTP clients."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashscope.local import LocalServer
from tests.servers.webhook_receiver import Receiver
from tests.waiting import wait_until

# `nox -s soak` installs it.
collect_ignore = [] if find_spec("schemathesis") else ["test_fuzz.py"]

MODELS = Path(__file__).with_name("models.py")


@pytest.fixture
def caplog(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log with the messages of local servers, which the default fixture filters out."""
    caplog.handler.filters.clear()
    return caplog


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    with LocalServer(models=MODELS) as running:
        yield running
        assert undelivered(running) == [], "A test left webhooks, which the server still retries."


def undelivered(server: LocalServer) -> list[str]:
    """Return the jobs whose webhooks are not delivered yet."""

    async def jobs() -> list[str]:
        return parts.store.deliveries.jobs()

    assert server._running is not None
    parts, thread = server._running
    return thread.call(jobs)


@pytest.fixture
def receiver(server: LocalServer) -> Iterator[Receiver]:
    """A receiver of webhooks. It stays until the shared server has delivered all of them."""
    receiver = Receiver()
    yield receiver
    wait_until(lambda: not undelivered(server))
    receiver.close()


@pytest.fixture(scope="session")
def http(server: LocalServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.base_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def run(http: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Run a model and return the finished prediction."""

    def run(name: str, /, **inputs: Any) -> dict[str, Any]:
        response = http.post(
            f"/models/{name}/predictions", json={"input": inputs}, headers={"Prefer": "wait=30"}
        )
        assert response.status_code == 201, response.text
        return response.json()

    return run


@pytest.fixture(scope="session")
def create(http: httpx.Client) -> Callable[..., dict[str, Any]]:
    """Create a prediction and return it as created."""

    def create(name: str, /, *, headers: dict[str, str] | None = None, **inputs: Any) -> Any:
        response = http.post(
            f"/models/{name}/predictions", json={"input": inputs}, headers=headers or {}
        )
        assert response.status_code == 201, response.text
        return response.json()

    return create
