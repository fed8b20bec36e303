"""Every error from a real failure pickles completely and without the token."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dashscope import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    AsyncClient,
    AuthenticationError,
    BadRequestError,
    Client,
    ConfigurationError,
    ConflictError,
    DashscopeError,
    FileError,
    InternalServerError,
    ModelError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    PredictionCanceledError,
    PredictionError,
    PredictionTimeoutError,
    RateLimitError,
    StreamError,
    UnprocessableEntityError,
    WebhookVerificationError,
    webhooks,
)
from tests.servers.fake_server import DROP, FakeServer, Reply, prediction, reply
from tests.variants import variants

TOKEN = "r8_very_secret_token"
STATUSES: dict[type[DashscopeError], int] = {
    BadRequestError: 400,
    AuthenticationError: 401,
    PaymentRequiredError: 402,
    PermissionDeniedError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    UnprocessableEntityError: 422,
    RateLimitError: 429,
    InternalServerError: 500,
}


def crosses(error: DashscopeError) -> None:
    data = pickle.dumps(error)
    assert TOKEN.encode() not in data
    assert TOKEN not in f"{error!r} {vars(error)}"
    copy = pickle.loads(data)
    assert type(copy) is type(error)
    assert (str(copy), copy.args, vars(copy)) == (str(error), error.args, vars(error))


@pytest.fixture
def client(make_client: Callable[..., Any], fake_server: FakeServer) -> Any:
    return make_client(TOKEN, base_url=fake_server.base_url, max_retries=0)


@variants("kind", STATUSES)
async def test_errors_from_responses_pickle(
    client: Any, fake_server: FakeServer, kind: type[Any]
) -> None:
    fake_server.respond_with(
        reply(
            {"detail": f"you sent Bearer {TOKEN}", "title": TOKEN},
            STATUSES[kind],
            x_request_id="r1",
            x_echo=f"Bearer {TOKEN}",
            retry_after="99",
        )
    )
    with pytest.raises(kind) as caught:
        await client.run("owner/name", {})
    crosses(caught.value)


async def _run(client: Any) -> Any:
    return await client.run("owner/name", {})


async def _run_in_time(client: Any) -> Any:
    return await client.run("owner/name", {}, timeout=0.15, poll_interval=0.01)


async def _stream(client: Any) -> Any:
    async with client.stream("owner/name", {}):
        pass


async def _missing_file(client: Any) -> Any:
    from pathlib import Path

    return await client.run("owner/name", {"file": Path("/no/such/file")})


FAILURES: list[tuple[type[DashscopeError], Reply, Callable[[Any], Awaitable[Any]]]] = [
    (APIConnectionError, DROP, _run),
    (APITimeoutError, Reply(delay=0.5), _run_in_time),
    (APIResponseError, Reply(200, {}, f"<html>{TOKEN}".encode()), _run),
    (ModelError, reply(prediction("failed", error="no")), _run),
    (PredictionCanceledError, reply(prediction("canceled")), _run),
    (PredictionTimeoutError, reply(prediction("processing")), _run_in_time),
    (PredictionError, reply(prediction("succeeded", data_removed=True)), _run),
    (StreamError, reply(prediction("processing")), _stream),
    (FileError, DROP, _missing_file),
]


@variants(("kind", "response", "call"), FAILURES, ids=[kind.__name__ for kind, *_ in FAILURES])
async def test_other_errors_pickle(
    client: Any,
    fake_server: FakeServer,
    kind: type[Any],
    response: Reply,
    call: Callable[[Any], Awaitable[Any]],
) -> None:
    fake_server.respond_with(response)
    with pytest.raises(kind) as caught:
        await call(client)
    assert type(caught.value) is kind
    crosses(caught.value)


async def test_an_error_of_a_refused_connection_pickles(
    make_client: Callable[..., Any], unreachable_url: str
) -> None:
    with pytest.raises(APIConnectionError) as caught:
        await make_client(TOKEN, base_url=unreachable_url, max_retries=1).account.get()
    assert caught.value.attempts == 2
    crosses(caught.value)


def test_errors_before_a_request_pickle() -> None:
    from dashscope import Client

    with pytest.raises(ConfigurationError) as caught:
        Client(TOKEN + "\n", base_url="https://api.example.com/v1")
    crosses(caught.value)


def test_webhook_errors_pickle() -> None:
    with pytest.raises(WebhookVerificationError) as caught:
        webhooks.verify(b"{}", {}, "whsec_c2VjcmV0c2VjcmV0c2VjcmV0")
    crosses(caught.value)


@pytest.mark.parametrize("make", [AsyncClient, Client])
def test_objects_of_a_client_explain_why_they_cannot_be_pickled(make: Any) -> None:
    client = make()
    for belonging in (
        client.predictions,
        client.models.versions,
        client.stream("owner/name", {}),
        client.map("owner/name", []),
    ):
        with pytest.raises(TypeError, match="in the process that uses"):
            pickle.dumps(belonging)
