"""Errors become problem responses without secrets."""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import Any

import pytest
from fastapi import FastAPI, UploadFile

from dashscope import AsyncClient
from dashscope.integrations.fastapi import ClientDep, install_error_handlers, lifespan
from dashscope.local import LocalServer
from tests.integrations.serving import TestClient
from tests.servers.fake_server import FakeServer, prediction, reply

TOKEN = "r8_secret"


def app_of(base_url: str, **options: Any) -> FastAPI:
    make = partial(AsyncClient, TOKEN, base_url=base_url, max_retries=0)
    app = FastAPI(lifespan=lifespan(make))
    install_error_handlers(app, **options)

    @app.get("/")
    async def run(client: ClientDep) -> Any:
        return await client.run("owner/name", {"text": "private input"}, poll_interval=0.01)

    return app


FAILED = prediction("failed", error="out of memory", logs="private logs", output=None)


@pytest.mark.parametrize(
    ("scripted", "expected"),
    [
        (reply({"detail": "text is too long"}, 422), {"status": 422, "detail": "text is too long"}),
        (reply({"detail": "private"}, 404), {"status": 404}),
        (reply({"detail": "private"}, 401), {"status": 502}),
        (reply({"detail": "private"}, 402), {"status": 502}),
        (reply({"detail": "private"}, 429, retry_after="1.5"), {"status": 503}),
        (reply({"detail": "private"}, 500), {"status": 502}),
        (reply({"detail": "private"}, 418), {"status": 500}),
        (reply({"private": 1}, 201), {"status": 502}),
        (reply(FAILED, 201), {"status": 502, "prediction_id": "p1"}),
        (reply(prediction("canceled"), 201), {"status": 503, "prediction_id": "p1"}),
    ],
)
def test_each_error_has_a_status(
    scripted: Any,
    expected: dict[str, Any],
    fake_server: FakeServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fake_server.respond_with(scripted)
    with (
        caplog.at_level(logging.ERROR, "dashscope"),
        TestClient(app_of(fake_server.base_url)) as http,
    ):
        response = http.get("/")
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert response.status_code == problem["status"]
    assert problem.pop("title")
    assert problem.pop("type") == "about:blank"
    problem.pop("request_id", None)
    assert problem == expected
    for secret in (TOKEN, "private", "out of memory", fake_server.base_url, "owner/name"):
        assert secret not in response.text
    assert bool(caplog.records) == (expected["status"] >= 500)
    if scripted.status == 429:
        assert response.headers["retry-after"] == str(math.ceil(1.5))


def test_model_errors_are_shown_on_request(fake_server: FakeServer) -> None:
    fake_server.respond_with(reply(FAILED, 201))
    with TestClient(app_of(fake_server.base_url, show_model_errors=True)) as http:
        assert http.get("/").json()["detail"] == "out of memory"


def test_errors_without_a_response(unreachable_url: str) -> None:
    with TestClient(app_of(unreachable_url)) as http:
        response = http.get("/")
    assert response.status_code == 502
    assert unreachable_url not in response.text


def test_an_upload_is_a_file_input(server: LocalServer) -> None:
    app = FastAPI(lifespan=lifespan(partial(AsyncClient, base_url=server.base_url)))
    sent: list[Any] = []

    @app.post("/")
    async def measure(document: UploadFile, client: ClientDep) -> Any:
        created = await client.models.predictions.create(
            "dashscope", "thumbnail", input={"image": document}
        )
        sent.append(created.input)
        file = await client.files.create(document)
        return {"name": file.name, "type": file.content_type, "size": file.size}

    with TestClient(app) as http:
        upload = ("../Häuser.csv", b"a,b", "text/csv")
        response = http.post("/", files={"document": upload}).json()
        assert response == {"name": "Häuser.csv", "type": "text/csv", "size": 3}
        odd = ("x.png", b"abc", "not a type")
        assert http.post("/", files={"document": odd}).json()["type"] == "image/png"
    assert sent[0]["image"].startswith("data:text/csv;base64,")
