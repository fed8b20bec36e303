"""Helpers for the tools that record spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.interop.conftest import respond_to_run
from tests.servers.fake_server import FakeServer


class Tracing:
    """A tracer provider and its finished spans."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.processor = SimpleSpanProcessor(self.exporter)
        self.provider = TracerProvider()
        self.provider.add_span_processor(self.processor)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())


def spans_of_http(tracing: Tracing) -> list[ReadableSpan]:
    """Return the spans of HTTP requests, ordered by start time."""
    found = [span for span in tracing.spans if "http.method" in (span.attributes or {})]
    return sorted(found, key=lambda span: span.start_time or 0)


def traceparents(fake_server: FakeServer) -> list[str]:
    """Return the `traceparent` of each request. Each request must have exactly one."""
    found: list[str] = []
    for request in fake_server.requests:
        (value,) = [value for name, value in request.items if name.lower() == "traceparent"]
        found.append(value)
    return found


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def traceparent_of(span: ReadableSpan) -> str:
    context: Any = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    tracing = Tracing()
    yield tracing
    tracing.provider.shutdown()


@pytest.fixture
def answering(fake_server: FakeServer) -> FakeServer:
    """A server that responds to the requests of `run()`."""
    fake_server.respond_with(respond_to_run(fake_server.base_url))
    return fake_server
