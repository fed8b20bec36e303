"""Sentry records requests as spans and breadcrumbs, and adds its trace header."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.httpx import HttpxIntegration
from sentry_sdk.transport import Transport

from dashscope import NotFoundError
from tests.servers.fake_server import FakeServer, reply


class Kept(Transport):
    """Keep the events that would be sent to Sentry."""

    items: list[dict[str, Any]]

    def __init__(self) -> None:
        super().__init__()
        self.items = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.items += [item.payload.json for item in envelope.items if item.payload.json]


@pytest.fixture(scope="module")
def _sentry() -> Iterator[Kept]:
    # Sentry patches httpx once per process and never restores it.
    originals = httpx.Client.send, httpx.AsyncClient.send
    kept = Kept()
    sentry_sdk.init(
        "http://key@127.0.0.1/1",
        transport=kept,
        traces_sample_rate=1.0,
        default_integrations=False,
        integrations=[HttpxIntegration()],
    )
    yield kept
    sentry_sdk.init()
    httpx.Client.send, httpx.AsyncClient.send = originals  # type: ignore[method-assign]


@pytest.fixture
def sentry(_sentry: Kept) -> Kept:
    _sentry.items = []
    return _sentry


async def test_requests_are_spans(client: Any, answering: FakeServer, sentry: Kept) -> None:
    with sentry_sdk.start_transaction(name="caller") as transaction:
        assert await client.run("owner/name", {}) == "hello Alice"
    (sent,) = sentry.items
    spans = [span for span in sent["spans"] if span["op"] == "http.client"]
    assert [span["description"] for span in spans] == [
        f"POST {answering.base_url}/models/owner/name/predictions",
        f"GET {answering.base_url}/predictions/p1/stream",
        f"GET {answering.base_url}/predictions/p1",
    ]
    assert [span["data"]["http.response.status_code"] for span in spans] == [201, 200, 200]
    for span, request in zip(spans, answering.requests, strict=True):
        headers = [value for name, value in request.items if name.lower() == "sentry-trace"]
        assert headers == [f"{transaction.trace_id}-{span['span_id']}-1"]


async def test_requests_are_breadcrumbs(client: Any, fake_server: FakeServer, sentry: Kept) -> None:
    fake_server.respond_with(reply({"detail": "no account"}, 404))
    with sentry_sdk.isolation_scope() as scope:
        scope.clear_breadcrumbs()
        with pytest.raises(NotFoundError) as error:
            await client.account.get()
        sentry_sdk.capture_exception(error.value)
    (sent,) = [item for item in sentry.items if "exception" in item]
    (crumb,) = sent["breadcrumbs"]["values"]
    assert crumb["data"]["url"] == f"{fake_server.base_url}/account"
    assert crumb["data"]["http.response.status_code"] == 404
    assert "r8_a-token" not in str(sent)
