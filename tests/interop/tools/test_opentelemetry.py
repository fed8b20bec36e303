"""OpenTelemetry instruments httpx, alone and together with our own instrumentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

from dashscope import APIConnectionError
from dashscope.integrations.opentelemetry import instrument, uninstrument
from tests.interop.tools.conftest import (
    Tracing,
    parent_of,
    spans_of_http,
    traceparent_of,
    traceparents,
)
from tests.servers.fake_server import FakeServer

REQUESTS = ["/models/owner/name/predictions", "/predictions/p1/stream", "/predictions/p1"]


@pytest.fixture(autouse=True)
def _theirs(tracing: Tracing) -> Iterator[None]:
    HTTPXClientInstrumentor().instrument(tracer_provider=tracing.provider)
    yield
    HTTPXClientInstrumentor().uninstrument()


@pytest.fixture
def _ours(tracing: Tracing) -> Iterator[None]:
    instrument(tracing.provider)
    yield
    uninstrument()


async def test_alone(client: Any, answering: FakeServer, tracing: Tracing) -> None:
    with tracing.provider.get_tracer("test").start_as_current_span("caller") as caller:
        assert await client.run("owner/name", {}) == "hello Alice"
    spans = spans_of_http(tracing)
    assert [str(span.attributes["http.url"]) for span in spans] == [  # type: ignore[index]
        answering.base_url + path for path in REQUESTS
    ]
    assert [span.attributes["http.status_code"] for span in spans] == [201, 200, 200]  # type: ignore[index]
    assert {parent_of(span) for span in spans} == {caller.get_span_context().span_id}
    assert traceparents(answering) == [traceparent_of(span) for span in spans]
    assert len(tracing.spans) == 4


@pytest.mark.usefixtures("_ours")
async def test_with_ours(client: Any, answering: FakeServer, tracing: Tracing) -> None:
    with tracing.provider.get_tracer("test").start_as_current_span("caller") as caller:
        assert await client.run("owner/name", {}) == "hello Alice"
    (run,) = [span for span in tracing.spans if span.name.startswith("generate_content")]
    spans = spans_of_http(tracing)
    assert len(spans) == 3
    assert {parent_of(span) for span in spans} == {run.context.span_id}  # type: ignore[union-attr]
    assert parent_of(run) == caller.get_span_context().span_id
    assert traceparents(answering) == [traceparent_of(span) for span in spans]


@pytest.mark.usefixtures("_ours")
async def test_a_stream_and_a_batch_with_ours(
    client: Any, answering: FakeServer, tracing: Tracing
) -> None:
    async with client.stream("owner/name", {}) as stream:
        assert "".join([str(event) async for event in stream]) == "hello Alice"
        await stream.result()
    async with client.map("owner/name", [{"text": "Alice"}]) as batch:
        assert [row.output async for row in batch] == ["hello Alice"]
    ours = {
        span.context.span_id: str(span.attributes["dashscope.operation"])  # type: ignore[index,union-attr]
        for span in tracing.spans
        if "dashscope.operation" in (span.attributes or {})
    }
    spans = spans_of_http(tracing)
    assert len(spans) == len(answering.requests)
    parents = [ours.get(parent_of(span) or 0) for span in spans]
    assert parents[:3] == ["stream"] * 3
    assert parents[3] == "row"
    assert set(parents[4:]) <= {"row", "map"}
    assert traceparents(answering) == [traceparent_of(span) for span in spans]


@pytest.mark.usefixtures("_ours")
async def test_a_refused_connection(
    make_client: Callable[..., Any], unreachable_url: str, tracing: Tracing
) -> None:
    client = make_client(base_url=unreachable_url, max_retries=0)
    with pytest.raises(APIConnectionError):
        await client.run("owner/name", {})
    (span,) = spans_of_http(tracing)
    assert span.status.status_code.name == "ERROR"
    assert "http.status_code" not in (span.attributes or {})


async def test_instrumenting_an_existing_client(
    client: Any, answering: FakeServer, tracing: Tracing
) -> None:
    HTTPXClientInstrumentor().uninstrument()
    await client.predictions.get("p1")
    HTTPXClientInstrumentor().instrument(tracer_provider=tracing.provider)
    await client.predictions.get("p1")
    HTTPXClientInstrumentor().uninstrument()
    await client.predictions.get("p1")
    assert len(spans_of_http(tracing)) == 1
    assert [any(name.lower() == "traceparent" for name, _ in request.items)
            for request in answering.requests] == [False, True, False]  # fmt: skip
