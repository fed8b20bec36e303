"""Logfire records the requests of default clients, and their bodies on request."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import logfire
import pytest
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

try:
    from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
except ImportError:
    HTTPX2ClientInstrumentor = HTTPXClientInstrumentor  # type: ignore[misc,assignment]

from dashscope.integrations.opentelemetry import instrument, uninstrument
from tests.interop.tools.conftest import (
    Tracing,
    parent_of,
    spans_of_http,
    traceparent_of,
    traceparents,
)
from tests.servers.fake_server import FakeServer


@pytest.fixture
def fire(tracing: Tracing, tmp_path: Path) -> Iterator[Any]:
    yield logfire.configure(
        local=True,
        send_to_logfire=False,
        console=False,
        metrics=False,
        config_dir=tmp_path,
        additional_span_processors=[tracing.processor],
    )
    uninstrument()
    for instrumentor in (HTTPXClientInstrumentor(), HTTPX2ClientInstrumentor()):
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()


async def test_requests_are_spans(
    client: Any, answering: FakeServer, tracing: Tracing, fire: Any
) -> None:
    fire.instrument_httpx()
    with fire.span("caller") as caller:
        assert await client.run("owner/name", {}) == "hello Alice"
    spans = spans_of_http(tracing)
    assert len(spans) == 3
    assert {parent_of(span) for span in spans} == {caller.context.span_id}
    assert traceparents(answering) == [traceparent_of(span) for span in spans]


async def test_with_ours(client: Any, answering: FakeServer, tracing: Tracing, fire: Any) -> None:
    fire.instrument_httpx()
    instrument(fire.config.get_tracer_provider())
    assert await client.run("owner/name", {}) == "hello Alice"
    (run,) = [span for span in tracing.spans if span.name.startswith("generate_content")]
    spans = spans_of_http(tracing)
    assert {parent_of(span) for span in spans} == {run.context.span_id}  # type: ignore[union-attr]
    assert traceparents(answering) == [traceparent_of(span) for span in spans]


async def test_capture_all(client: Any, answering: FakeServer, tracing: Tracing, fire: Any) -> None:
    fire.instrument_httpx(capture_all=True)
    assert await client.run("owner/name", {"text": "Alice"}) == "hello Alice"
    span = spans_of_http(tracing)[0]
    attributes: Any = span.attributes
    body = json.loads(attributes["http.request.body.text"])
    assert body["input"] == {"text": "Alice"}
    assert "r8_a-token" not in span.to_json()
    assert answering.requests[0].json["input"] == {"text": "Alice"}


async def test_a_refused_connection(
    make_client: Callable[..., Any], unreachable_url: str, tracing: Tracing, fire: Any
) -> None:
    fire.instrument_httpx()
    client = make_client(base_url=unreachable_url, max_retries=0)
    with pytest.raises(Exception, match="No connection") as refused:
        await client.run("owner/name", {})
    assert not refused.value.may_have_been_created  # type: ignore[attr-defined]
    (span,) = spans_of_http(tracing)
    assert span.status.status_code.name == "ERROR"
