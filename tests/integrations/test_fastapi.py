"""The client of a FastAPI application, and verified webhooks."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket

from dashscope import AsyncClient, Client, Prediction, Training, webhooks
from dashscope._common.installing import install_command
from dashscope.integrations.fastapi import (
    ClientDep,
    get_client,
    lifespan,
    verified_webhook,
)
from dashscope.local import LocalServer
from tests.integrations.serving import TestClient, UvicornServer
from tests.variants import variants
from tests.waiting import wait_until

SECRET = "whsec_c2VjcmV0IG9mIG1pbmU="
OTHER = "whsec_YW5vdGhlciBzZWNyZXQ="
BODY = b'{"id": "p1", "status": "succeeded", "output": 1}'


# The client


def test_the_lifespan_owns_one_client(server: LocalServer) -> None:
    made: list[AsyncClient] = []

    def make() -> AsyncClient:
        made.append(AsyncClient(base_url=server.base_url))
        return made[-1]

    app = FastAPI(lifespan=lifespan(make))
    router = APIRouter()
    inner = FastAPI()

    @router.get("/greet")
    @inner.get("/greet")
    async def greet(name: str, client: ClientDep) -> str:
        assert client is made[-1]
        output: str = await client.run("dashscope/hello-world", {"text": name})
        return output

    @router.websocket("/greet")
    async def greet_often(socket: WebSocket, client: ClientDep) -> None:
        await socket.accept()
        async for name in socket.iter_text():
            await socket.send_text(await client.run("dashscope/hello-world", {"text": name}))

    app.include_router(router)
    app.mount("/inner", inner)
    for starts in (1, 2):
        with TestClient(app) as http:
            for path in ("/greet", "/inner/greet"):
                assert http.get(path, params={"name": "Alice"}).json() == "hello Alice"
            with http.websocket_connect("/greet") as socket:
                socket.send_text("Bob")
                assert socket.receive_text() == "hello Bob"
        assert len(made) == starts
    for client in made:
        with pytest.raises(RuntimeError, match="closed"):
            asyncio.run(client.account.get())  # type: ignore[arg-type]


def test_the_environment_configures_the_client(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = FastAPI(lifespan=lifespan())

    @app.get("/")
    async def name(client: ClientDep) -> str | None:
        return (await client.account.get()).username

    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    with TestClient(app) as http:
        assert http.get("/").json() == "local"


def test_the_lifespan_combines_with_another_lifespan(server: LocalServer) -> None:
    @asynccontextmanager
    async def mine(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with lifespan(partial(AsyncClient, base_url=server.base_url))(app) as state:
            yield {**state, "name": "Carol"}

    app = FastAPI(lifespan=mine)

    @app.get("/")
    async def greet(request: Request, client: ClientDep) -> str:
        output: str = await client.run("dashscope/hello-world", {"text": request.state.name})
        return output

    with TestClient(app) as http:
        assert http.get("/").json() == "hello Carol"


def test_a_test_can_replace_the_client(server: LocalServer) -> None:
    app = FastAPI(lifespan=lifespan())

    @app.get("/")
    async def base(client: ClientDep) -> str:
        return repr(client)

    async def other() -> AsyncIterator[AsyncClient]:
        async with AsyncClient(base_url=server.base_url) as client:
            yield client

    app.dependency_overrides[get_client] = other
    assert server.base_url in TestClient(app).get("/").json()


def test_a_missing_lifespan_is_an_error() -> None:
    app = FastAPI()

    @app.get("/")
    async def base(client: ClientDep) -> None: ...

    with pytest.raises(RuntimeError, match=r"Write FastAPI\(lifespan=lifespan\(\)\)"):
        TestClient(app).get("/")


@pytest.mark.parametrize("wrong", [FastAPI(), None, "client"])
def test_the_lifespan_must_be_called(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"Write FastAPI\(lifespan=lifespan\(\)\)"):
        lifespan(wrong)


def test_without_fastapi_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['fastapi'] = None; import dashscope.integrations.fastapi"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (
        f"ImportError: FastAPI is not installed. Run: {install_command('fastapi')}" in done.stderr
    )


# Webhooks


@pytest.fixture
def text() -> list[Prediction | Training]:
    return []


def make_app(text: list[Any], *args: Any, make: Any = AsyncClient, **options: Any) -> FastAPI:
    app = FastAPI(lifespan=lifespan(make))
    webhook = verified_webhook(*args, **options)

    @app.post("/hook")
    async def hook(job: Any = Depends(webhook)) -> None:  # noqa: B008
        text.append(job)

    return app


@pytest.fixture
def http(text: list[Any]) -> Iterator[Any]:
    with TestClient(make_app(text, [OTHER, SECRET], max_bytes=10_000)) as http:
        yield http


def test_a_webhook_is_decoded_to_its_prediction(http: Any, text: list[Any]) -> None:
    for secret in (SECRET, OTHER):
        response = http.post("/hook", content=BODY, headers=webhooks.sign(BODY, secret))
        assert response.status_code == 200
    assert text == [Prediction(id="p1", status="succeeded", output=1)] * 2


@pytest.mark.parametrize(
    ("body", "changes", "message"),
    [
        (BODY + b" ", {}, "not signed with this secret"),
        (BODY, {"webhook-id": "msg_other"}, "not signed with this secret"),
        (BODY, {"webhook-timestamp": "1"}, "not signed with this secret"),
        (BODY, {"webhook-signature": "v1,x"}, "not signed with this secret"),
        (BODY, webhooks.sign(BODY, SECRET, timestamp=1), "the tolerance is 300 s"),
        (BODY, webhooks.sign(b"{}", SECRET), "not signed with this secret"),
    ],
)
def test_a_webhook_with_a_wrong_signature_is_rejected(
    http: Any, text: list[Any], body: bytes, changes: dict[str, str], message: str
) -> None:
    response = http.post("/hook", content=body, headers={**webhooks.sign(BODY, SECRET), **changes})
    assert response.status_code == 401
    assert message in response.json()["detail"]
    assert not text


def test_invalid_and_unsigned_webhooks_are_rejected(http: Any, text: list[Any]) -> None:
    response = http.post("/hook", content=b"[]", headers=webhooks.sign(b"[]", SECRET))
    assert (response.status_code, "is not a Prediction" in response.text) == (401, True)
    response = http.post("/hook", content=BODY)
    assert (response.status_code, "no header webhook-id" in response.text) == (401, True)
    assert not text


def test_a_too_large_body_is_not_read(http: Any, text: list[Any]) -> None:
    body = BODY + b" " * 10_000
    response = http.post("/hook", content=body, headers=webhooks.sign(body, SECRET))
    assert response.status_code == 413
    assert not text


@variants(
    ("options", "error"),
    [
        ({"secret": ""}, ValueError),
        ({"secret": "whsec_*"}, ValueError),
        ({"secret": []}, ValueError),
        ({"secret": 5}, ValueError),
        ({"secret": SECRET, "tolerance": -1}, ValueError),
        ({"secret": SECRET, "tolerance": "1"}, TypeError),
        ({"secret": SECRET, "max_bytes": 0}, ValueError),
    ],
)
def test_invalid_configuration_is_rejected_before_the_first_webhook(
    options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        verified_webhook(**options)


def test_a_webhook_is_verified_with_the_secret_of_the_server(
    server: LocalServer, observer: Client, text: list[Any]
) -> None:
    app = make_app(text, make=partial(AsyncClient, base_url=server.base_url))
    with UvicornServer(app) as served:
        refused = httpx.post(
            f"{served.url}/hook", content=BODY, headers=webhooks.sign(BODY, SECRET)
        )
        assert refused.status_code == 401
        output = observer.run(
            "dashscope/hello-world",
            {"text": "Alice"},
            webhook=f"{served.url}/hook",
            webhook_events_filter=["completed"],
        )
        wait_until(lambda: text)
    (prediction,) = text
    assert prediction.output == output == "hello Alice"
    assert prediction == observer.predictions.get(prediction)


def test_a_disconnect_during_a_webhook_logs_no_traceback(
    text: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), UvicornServer(make_app(text, SECRET)) as served:
        with served.connected() as connection:
            connection.sendall(b"POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf")
            wait_until(served.tasks)
        wait_until(lambda: not served.tasks())
    assert not caplog.records
