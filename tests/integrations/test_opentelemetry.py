"""Spans describe the operations of a client, and requests have their context."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import baggage, context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id

from dashscope import ModelError, PredictionTimeoutError, UnprocessableEntityError
from dashscope.integrations.opentelemetry import instrument, uninstrument
from dashscope.testing import ModelServer
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply


class Tracing:
    """The recorded spans and metrics."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def spans(self, name: str) -> list[ReadableSpan]:
        found = self.exporter.get_finished_spans()
        return [span for span in found if attributes(span).get("dashscope.operation") == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.spans(name)
        return span


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def is_child(span: ReadableSpan, parent: Any) -> bool:
    assert span.parent is not None
    return bool(span.parent.span_id == parent.get_span_context().span_id)


@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=pytest.mark.soak), "trio", "sync"])
def flavor(request: pytest.FixtureRequest) -> str:
    """Asyncio, trio and sync; uvloop only in the soak session."""
    name: str = request.param
    return name


@pytest.fixture
def tracing() -> Iterator[Tracing]:
    tracing = Tracing()
    instrument(tracing.provider)
    yield tracing
    uninstrument()


@pytest.fixture
def client(dashscope_server: ModelServer, make_client: Callable[..., Any]) -> Any:
    return make_client(base_url=dashscope_server.base_url)


async def test_a_run_is_a_span(
    client: Any, tracing: Tracing, dashscope_server: ModelServer
) -> None:
    await client.run("dashscope/hello-world", {"text": "a secret"})
    (created,) = dashscope_server.created()
    span = tracing.one("run")
    assert span.name == "generate_content dashscope/hello-world"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    found = attributes(span)
    assert created.metrics is not None
    assert found.pop("server.port") == int(dashscope_server.base_url.split(":")[2].split("/")[0])
    assert found == {
        "gen_ai.provider.name": "dashscope",
        "gen_ai.operation.name": "generate_content",
        "gen_ai.request.model": "dashscope/hello-world",
        "gen_ai.response.id": created.id,
        "gen_ai.response.model": f"dashscope/hello-world:{created.version}",
        "server.address": "127.0.0.1",
        "dashscope.operation": "run",
        "dashscope.prediction.id": created.id,
        "dashscope.prediction.status": "succeeded",
        "dashscope.prediction.predict_time": created.metrics.predict_time,
    }
    assert "a secret" not in span.to_json()


async def test_a_wait_is_a_separate_span(client: Any, tracing: Tracing) -> None:
    created = await client.models.predictions.create(
        "dashscope", "hello-world", input={"text": "a"}
    )
    await client.wait(created.id)
    span = tracing.one("wait")
    assert span.name == "dashscope.wait dashscope/hello-world"
    assert span.kind is SpanKind.INTERNAL
    assert attributes(span)["dashscope.prediction.id"] == created.id
    assert attributes(span)["gen_ai.request.model"] == "dashscope/hello-world"
    assert "gen_ai.operation.name" not in attributes(span)  # it is counted at its create


async def test_a_stream_is_a_span_without_the_code_in_its_block(
    client: Any, tracing: Tracing
) -> None:
    with tracing.tracer.start_as_current_span("caller") as caller:
        async with client.stream("dashscope/countdown", {"start": 1, "delay": 0}) as stream:
            await anext(stream)
            with tracing.tracer.start_as_current_span("inside") as inside:
                pass
            assert (await stream.result()).status == "succeeded"
    span = tracing.one("stream")
    assert is_child(span, caller)
    assert is_child(inside, caller)  # type: ignore[arg-type]
    assert span.name == "generate_content dashscope/countdown"
    assert attributes(span)["gen_ai.request.stream"] is True
    assert attributes(span)["dashscope.prediction.status"] == "succeeded"


async def test_the_span_of_an_exited_stream_records_the_reason(
    client: Any, tracing: Tracing
) -> None:
    async with client.stream("dashscope/countdown", {"start": 90, "delay": 1}) as stream:
        await anext(stream)
    span = tracing.one("stream")
    assert attributes(span)["dashscope.prediction.status"] == "canceled"
    assert span.status.status_code is StatusCode.UNSET


async def test_a_map_is_a_span_with_a_child_per_row(client: Any, tracing: Tracing) -> None:
    rows = [{"text": "a"}, {"text": 2}, {"text": "c"}]
    async with client.map("dashscope/hello-world", rows) as batch:
        for _ in rows:
            await anext(batch)
    whole = tracing.one("map")
    assert whole.name == "dashscope.map dashscope/hello-world"
    assert attributes(whole)["dashscope.batch.done"] == 2
    assert attributes(whole)["dashscope.batch.failed"] == 1
    spans = tracing.spans("row")
    assert len(spans) == 3
    assert all(is_child(span, whole) for span in spans)
    statuses = sorted(str(attributes(span).get("dashscope.prediction.status")) for span in spans)
    assert statuses == ["None", "succeeded", "succeeded"]
    (failed,) = [span for span in spans if span.status.status_code is StatusCode.ERROR]
    assert attributes(failed)["error.type"] == "422"


async def test_spans_of_unfinished_rows_end_with_the_batch(client: Any, tracing: Tracing) -> None:
    rows = [{"start": 90, "delay": 1}] * 2 + [{"start": 0, "delay": 0}]
    async with client.map("dashscope/countdown", rows) as batch:
        await anext(batch)
    assert len(tracing.spans("row")) == 3
    assert len(tracing.spans("map")) == 1


async def test_errors_are_recorded(
    client: Any, tracing: Tracing, dashscope_server: ModelServer
) -> None:
    @dashscope_server.model("me/fail")
    def fail(text: str) -> str:
        raise ValueError(text)

    with pytest.raises(ModelError):
        await client.run("me/fail", {"text": "no luck"})
    with pytest.raises(UnprocessableEntityError):
        await client.run("dashscope/hello-world", {})
    with pytest.raises(PredictionTimeoutError):
        await client.run("dashscope/countdown", {"start": 90, "delay": 1}, timeout=1.0)
    failed, refused, late = tracing.spans("run")
    assert [attributes(span)["error.type"] for span in (failed, refused, late)] == [
        "ModelError",
        "422",
        "PredictionTimeoutError",
    ]
    assert {span.status.status_code for span in (failed, refused, late)} == {StatusCode.ERROR}
    assert attributes(failed)["dashscope.prediction.status"] == "failed"
    assert attributes(late)["dashscope.prediction.status"] == "canceled"
    assert failed.events[0].name == "exception"
    assert "no luck" in str(failed.status.description)


def response(request: Received) -> Reply:
    if request.method == "POST":
        return reply(prediction("starting"), 201)
    return reply(prediction("succeeded", output="x"))


async def test_every_request_of_an_operation_has_its_context(
    scripted_client: Any, fake_server: FakeServer, tracing: Tracing
) -> None:
    fake_server.respond_with(response)
    token = context.attach(baggage.set_baggage("customer", "a secret"))
    try:
        await scripted_client.run("owner/name", {}, poll_interval=0.01)
    finally:
        context.detach(token)
    span = tracing.one("run").get_span_context()
    assert span is not None
    expected = f"00-{format_trace_id(span.trace_id)}-{format_span_id(span.span_id)}-"
    headers = [
        {k.lower(): v for k, v in request.headers.items()} for request in fake_server.requests
    ]
    assert len(headers) == 2
    assert [item["traceparent"][:-2] for item in headers] == [expected] * 2
    assert not any("baggage" in item for item in headers)


async def test_a_single_request_has_the_context_of_the_caller(
    scripted_client: Any, fake_server: FakeServer, tracing: Tracing
) -> None:
    fake_server.respond_with(reply({"username": "me", "type": "user"}))
    with tracing.tracer.start_as_current_span("caller") as caller:
        await scripted_client.account.get()
    await scripted_client.account.get()
    first, second = (
        {k.lower(): v for k, v in request.headers.items()} for request in fake_server.requests
    )
    assert format_span_id(caller.get_span_context().span_id) in first["traceparent"]
    assert "traceparent" not in second


async def test_other_origins_receive_no_trace_context(
    scripted_client: Any, fake_server: FakeServer, tracing: Tracing
) -> None:
    other = FakeServer()
    try:
        other.respond_with(Reply(200, {"content-type": "text/plain"}, b"content"))
        url = f"{other.base_url}/file.txt"
        fake_server.respond_with(reply(prediction("succeeded", output=url), 201))
        output = await scripted_client.run("owner/name", {})
        with tracing.tracer.start_as_current_span("caller"):
            assert await output.read() == b"content"
        assert "traceparent" not in {name.lower() for name in other.requests[0].headers}
    finally:
        other.close()


async def test_after_uninstrument_nothing_is_traced(
    scripted_client: Any, fake_server: FakeServer, tracing: Tracing
) -> None:
    fake_server.respond_with(response)
    uninstrument()
    with tracing.tracer.start_as_current_span("caller"):
        await scripted_client.run("owner/name", {}, poll_interval=0.01)
    assert [span.name for span in tracing.exporter.get_finished_spans()] == ["caller"]
    assert not any("traceparent" in request.headers for request in fake_server.requests)


def test_without_tracing_an_operation_has_almost_no_overhead() -> None:
    from dashscope._api import instrumentation

    times = 20_000
    started = time.perf_counter()
    for _ in range(times):
        operation = instrumentation.begin("run", "http://127.0.0.1/v1", "owner/name")
        with operation.whole():
            operation.saw(None)  # type: ignore[arg-type]
            instrumentation.headers()
    assert (time.perf_counter() - started) / times < 50e-6


def test_clients_import_neither_opentelemetry_nor_stubs_nor_httpx2() -> None:
    code = """
import sys
import httpx
from dashscope import AsyncClient, Client

with httpx.Client() as http:
    AsyncClient(), Client(), Client(http_client=http)
optional = ("opentelemetry", "dashscope.stubs", "httpx2")
assert not [name for name in sys.modules if name.startswith(optional)]
"""
    subprocess.run([sys.executable, "-c", code], check=True)
