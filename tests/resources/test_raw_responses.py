"""`with_raw_response`: each operation with its HTTP response, in all flavors."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import pytest

from dashscope import (
    APIResponseError,
    AsyncClient,
    Client,
    NotFoundError,
    Page,
    Prediction,
    RawResponse,
    Response,
)
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply

RATE_LIMIT = {"x_ratelimit_limit": "600", "x_ratelimit_remaining": "599"}


async def test_an_operation_returns_its_response(
    scripted_client: Any, fake_server: FakeServer, no_jitter: None
) -> None:
    raw = scripted_client.with_raw_response
    scripted = reply(prediction("succeeded", output=[1]), x_request_id="r1", **RATE_LIMIT)
    fake_server.respond_with([reply({"detail": "busy"}, 503), scripted])
    response = await raw.predictions.get("p1")
    assert isinstance(response, RawResponse)
    assert isinstance(response, Response)
    assert (response.status, response.attempts, response.request_id) == (200, 2, "r1")
    assert response.rate_limit == {"limit": "600", "remaining": "599"}
    assert response.json()["output"] == [1]
    parsed = response.parse()
    assert type(parsed) is Prediction
    assert parsed.output == [1]
    assert pickle.loads(pickle.dumps(response)).parse() == parsed

    fake_server.respond_with(reply({"results": [prediction()]}))
    page = (await raw.predictions.list()).parse()
    assert type(page) is Page
    assert page[0].id == "p1"

    fake_server.respond_with(reply(None, 204))
    deleted = await raw.files.delete("f1")
    assert (deleted.status, deleted.parse()) == (204, None)

    fake_server.respond_with(Reply(200, {"content-type": "text/plain"}, b"# Hello"))
    assert (await raw.models.readme.get("owner/name")).parse() == "# Hello"

    fake_server.respond_with(reply({"query": "x"}))
    assert (await raw.search("x")).parse().query == "x"


async def test_a_create_returns_its_response_and_not_that_of_an_upload(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    def script(request: Received) -> Reply:
        if request.path == "/v1/files":
            return reply({"id": "f1", "urls": {"get": "https://x/f1"}}, 201)
        return reply(prediction(), 201)

    fake_server.respond_with(script)
    raw = scripted_client.with_options(max_retries=0).with_raw_response
    response = await raw.models.predictions.create("owner/name", input={"f": b"x" * 300_000})
    assert response.asked.endswith("/models/owner/name/predictions")
    assert response.parse().id == "p1"


async def test_errors_are_raised(scripted_client: Any, fake_server: FakeServer) -> None:
    raw = scripted_client.with_raw_response
    with pytest.raises(NotFoundError):
        await raw.predictions.get("p1")
    with pytest.raises(TypeError, match="prediction must be"):
        await raw.predictions.get(5)
    with pytest.raises(TypeError, match="there is no argument 'limit'"):
        await raw.predictions.list(limit=5)
    fake_server.respond_with(reply({"id": "p1"}))
    response = await raw.predictions.get("p1")
    assert response.status == 200
    with pytest.raises(APIResponseError, match="required field missing"):
        response.parse()


def operations(resource: Any, path: str = "") -> dict[str, inspect.Signature]:
    """The operations that send one request, by path."""
    found: dict[str, inspect.Signature] = {}
    for name in dir(type(resource)):
        if name.startswith("_") or name in ("resource", "with_raw_response"):
            continue
        value = getattr(resource, name)
        if inspect.isroutine(value) or inspect.isfunction(value):
            found[f"{path}.{name}"] = inspect.signature(value)
        else:
            found |= operations(value, f"{path}.{name}")
    return found


@pytest.mark.parametrize("make", [AsyncClient, Client])
def test_every_operation_has_the_same_signature(make: Any) -> None:
    client = make()
    raw = operations(client.with_raw_response)
    plain = operations(client)
    several = {".files.download", ".predictions.stream", ".trainings.wait"}
    expected = {path for path in plain if path.count(".") > 1} - several | {".search"}
    assert raw.keys() == expected
    for path, signature in raw.items():
        assert list(signature.parameters) == list(plain[path].parameters)
