"""Every operation of the API: its request and its decoded response."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs
import pytest

from dashscope import APIResponseError, AsyncClient, Page
from dashscope.types._value import is_available
from tests.resources.contract import (
    FULL,
    MINIMAL,
    NEXT,
    NOT_JSON,
    OPERATIONS,
    TIME,
    WRITTEN,
    Operation,
)
from tests.servers.fake_server import FakeServer, Received, Reply, reply
from tests.variants import variants

ALL = pytest.mark.parametrize("operation", OPERATIONS, ids=str)


def test_the_table_contains_all_37_operations() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len({*names, *NOT_JSON}) == len(names) + len(NOT_JSON) == 37
    client = AsyncClient()
    for name in [*names, *NOT_JSON]:
        member: Any = client
        for part in name.split("."):
            member = getattr(member, part)
        assert callable(member)


def test_a_complete_response_has_every_field_of_its_type() -> None:
    for cls, body in FULL.items():
        assert set(body) == {field.name for field in attrs.fields(cls)} - {"raw"}
    for cls, body in MINIMAL.items():
        required = {field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING}
        assert set(body) == required


def check_request(received: Received, operation: Operation, path: str, body: Any) -> None:
    assert (received.method, received.path) == (operation.method, "/v1" + path)
    assert received.headers["Authorization"] == "Bearer r8_token"
    assert received.headers["User-Agent"].startswith("dashscope-client/")
    if body is None:
        assert received.body == b""
        assert "Content-Type" not in received.headers
    elif isinstance(body, str):
        assert received.body.decode() == body
    else:
        assert received.json == body
        assert received.headers["Content-Type"] == "application/json"


def check_value(value: Any, body: Any) -> None:
    """Check that a value has all fields of the JSON and no others."""
    if attrs.has(type(value)):
        assert value.raw == body
        for field in attrs.fields(type(value)):
            # A list omits inputs and outputs, and accessing them raises.
            if field.name != "raw" and is_available(value, field.name):
                check_value(getattr(value, field.name), body.get(field.name))
    elif isinstance(value, datetime):
        assert (value, body) == (TIME, WRITTEN)
    elif isinstance(value, tuple):
        assert isinstance(body, list)
        assert len(value) == len(body)
        for item, part in zip(value, body, strict=True):
            check_value(item, part)
    else:
        assert value == body


def check_answer(value: Any, operation: Operation, kind: Mapping[type, Any]) -> None:
    body = operation.answered(kind)
    if operation.answer is None:
        assert value is None
        return
    items = [value] if operation.holds == "one" else list(value)
    bodies = (
        [body]
        if operation.holds == "one"
        else body
        if operation.holds == "list"
        else body["results"]
    )
    assert len(items) == len(bodies)
    for item, part in zip(items, bodies, strict=True):
        assert type(item) is operation.answer
        check_value(item, part)
    if operation.holds == "list":
        assert type(value) is list
    if operation.holds == "page":
        assert type(value) is Page
        assert value.next == value.previous == (NEXT if kind is FULL else None)
        assert value.raw == body


@ALL
async def test_all_arguments_are_sent_and_the_whole_response_is_decoded(
    with_token: Any, fake_server: FakeServer, operation: Operation
) -> None:
    body = operation.answered(FULL)
    fake_server.respond_with(
        Reply(operation.status) if body is None else reply(body, operation.status)
    )
    check_answer(await operation.call(with_token), operation, FULL)
    assert len(fake_server.requests) == 1
    check_request(fake_server.requests[0], operation, operation.path, operation.body)
    for name in ("Prefer", "Cancel-After", "Content-Type"):
        if name in operation.headers:
            assert fake_server.requests[0].headers[name] == operation.headers[name]


@ALL
async def test_omitted_arguments_are_not_sent_and_a_partial_response_is_decoded(
    with_token: Any, fake_server: FakeServer, operation: Operation
) -> None:
    body = operation.answered(MINIMAL)
    fake_server.respond_with(
        Reply(operation.status) if body is None else reply(body, operation.status)
    )
    least = operation.least or operation.call
    check_answer(await least(with_token), operation, MINIMAL)
    assert len(fake_server.requests) == 1
    sent = operation.body if operation.least is None else operation.least_body
    check_request(fake_server.requests[0], operation, operation.least_path or operation.path, sent)
    assert not {"Prefer", "Cancel-After"} & set(fake_server.requests[0].headers)


async def test_a_response_without_a_body_is_an_error(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(Reply(204))
    for operation in OPERATIONS:
        if operation.answer is None:
            assert await operation.call(scripted_client) is None
        else:
            with pytest.raises(APIResponseError, match="empty body with status 204"):
                await operation.call(scripted_client)


async def test_names_and_ids_are_escaped(scripted_client: Any, fake_server: FakeServer) -> None:
    ids = iter(["", "v+1", "p/../1", "f1&x=1"])
    fake_server.respond_with(
        lambda _: reply({"owner": "a", "name": "b", "id": next(ids), "status": "s"})
    )
    await scripted_client.models.get("ac me", "a/b?c#d%")
    await scripted_client.models.versions.get("ü", "b", "v+1")
    await scripted_client.predictions.get("p/../1")
    await scripted_client.files.get("f1&x=1")
    assert fake_server.request_lines == [
        "GET /v1/models/ac%20me/a%2Fb%3Fc%23d%25",
        "GET /v1/models/%C3%BC/b/versions/v%2B1",
        "GET /v1/predictions/p%2F..%2F1",
        "GET /v1/files/f1%26x%3D1",
    ]


@variants("name", ["", ".", "..", None, 5])
async def test_an_invalid_name_is_rejected_before_a_request(
    scripted_client: Any, fake_server: FakeServer, name: Any
) -> None:
    for call in (
        lambda: scripted_client.models.get("acme", name),
        lambda: scripted_client.deployments.delete(name, "app"),
        lambda: scripted_client.collections.get(name),
        lambda: scripted_client.models.versions.get("acme", "m", name),
        lambda: scripted_client.predictions.get(name),
        lambda: scripted_client.trainings.cancel(name),
        lambda: scripted_client.files.delete(name),
    ):
        with pytest.raises((ValueError, TypeError)):
            await call()
    assert fake_server.requests == []


async def test_methods_accept_an_object_or_its_id(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply({"id": "x1", "status": "starting"}))
    prediction = await scripted_client.predictions.get("x1")
    await scripted_client.predictions.get(prediction)
    await scripted_client.predictions.cancel(prediction)
    training = await scripted_client.trainings.get("x1")
    await scripted_client.trainings.get(training)
    await scripted_client.trainings.cancel(training)
    file = await scripted_client.files.get("x1")
    await scripted_client.files.get(file)
    await scripted_client.files.delete(file)
    assert fake_server.request_lines == [
        "GET /v1/predictions/x1",
        "GET /v1/predictions/x1",
        "POST /v1/predictions/x1/cancel",
        "GET /v1/trainings/x1",
        "GET /v1/trainings/x1",
        "POST /v1/trainings/x1/cancel",
        "GET /v1/files/x1",
        "GET /v1/files/x1",
        "DELETE /v1/files/x1",
    ]


@variants("version", ["5c7d5dc6", "acme/hello-world", "acme/hello-world:5c7d5dc6"])
async def test_a_version_has_three_forms(
    scripted_client: Any, fake_server: FakeServer, version: str
) -> None:
    fake_server.respond_with(reply({"id": "p1", "status": "starting"}, 201))
    await scripted_client.predictions.create(version=version, input={})
    assert fake_server.requests[0].json == {"version": version, "input": {}}


@variants("text", ["# Hello\n\nIt says hello to *Jörg*.\n", ""])
async def test_a_readme_is_text(scripted_client: Any, fake_server: FakeServer, text: str) -> None:
    fake_server.respond_with(
        Reply(200, {"content-type": "text/plain; charset=utf-8"}, text.encode())
    )
    assert await scripted_client.models.readme.get("acme", "hello-world") == text
    assert fake_server.request_lines == ["GET /v1/models/acme/hello-world/readme"]


@variants(
    ("call", "message"),
    [
        (lambda c: c.predictions.create(version="", input={}), "version"),
        (lambda c: c.predictions.create(version=None, input={}), "version"),
        (lambda c: c.predictions.create(version="v", input="text"), "mapping"),
        (lambda c: c.predictions.create(version="v", input={}, wait=61), "60"),
        (lambda c: c.predictions.create(version="v", input={}, cancel_after=4), "at least 5"),
        (lambda c: c.predictions.create(version="v", input={}, webhook="x"), "http"),
        (lambda c: c.models.predictions.create("a", "b", input={}, wait=0), "60"),
        (lambda c: c.deployments.predictions.create("a", "b", input=None), "mapping"),
        (lambda c: c.predictions.list(cursor=""), "cursor"),
        (lambda c: c.predictions.list(created_after=datetime(2026, 1, 2)), "zone"),
        (lambda c: c.models.search(""), "query"),
        (lambda c: c.models.search("  \n"), "query"),
        (lambda c: c.models.search(None), "query"),
        (lambda c: c.search(" "), "query"),
        (lambda c: c.search("x", limit=0), "limit"),
        (lambda c: c.search("x", limit=51), "limit"),
        (lambda c: c.search("x", limit="5"), "limit"),
        (lambda c: c.trainings.create("a", "b", "v", destination="x", input={}), "owner/name"),
        (lambda c: c.trainings.create("a", "b", "v", destination="a/b:v", input={}), "without"),
        (lambda c: c.trainings.create("a", "b", "v", destination="a/b", input=[]), "mapping"),
        (
            lambda c: c.trainings.create(
                "a", "b", "v", destination="a/b", input={}, webhook_events_filter=["done"]
            ),
            "'start', 'output', 'logs' or 'completed'",
        ),
        (lambda c: c.files.create(b"x", filename="a\nb"), "filename"),
        (lambda c: c.files.create(b"x", filename=""), "filename"),
        (lambda c: c.files.create(b"x", filename="x" * 256), "filename"),
    ],
)
async def test_invalid_arguments_are_rejected_before_a_request(
    scripted_client: Any, fake_server: FakeServer, call: Any, message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        await call(scripted_client)
    assert fake_server.requests == []
