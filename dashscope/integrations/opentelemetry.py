"""OpenTelemetry: a span per run, wait, stream and map, and W3C trace context on requests.

Requires the extra `opentelemetry`, which installs only the API. The SDK of your program exports the
spans. Attributes follow the semantic conventions for generative AI where possible (`gen_ai.*`,
`server.*`, `error.type`), and are `dashscope.*` otherwise. They never contain inputs, outputs or
logs.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dashscope import APIStatusError, Prediction, Training, __version__
from dashscope._api.instrumentation import (
    Instrumentation,
    Name,
    Operation,
    WatchedOperation,
    install,
)

__all__ = ["instrument", "uninstrument"]

SCHEMA: Final = "https://opentelemetry.io/schemas/1.41.1"
"""The last schema that contains the conventions for generative AI. They have moved since."""

PROVIDER: Final = "dashscope"
GENERATES: Final = "generate_content"
"""The conventions' name for an operation with any kind of output."""

_MAKES_PREDICTIONS: Final = ("run", "stream", "row")


def instrument(tracer_provider: TracerProvider | None = None) -> None:
    """Trace the operations of all clients in this process from now on.

    Args:
        tracer_provider: Creates the tracer. Defaults to the global provider.

    Example:
        ```python
        from dashscope.integrations.opentelemetry import instrument

        instrument()
        output = await client.run("dashscope/hello-world", {"text": "Alice"})
        ```
    """
    install(_Tracing(trace.get_tracer("dashscope", __version__, tracer_provider, SCHEMA)))


def uninstrument() -> None:
    """Stop tracing. Operations that are running still end their spans."""
    install(None)


class _Tracing(Instrumentation):
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        # Only the trace context is sent, because baggage may be private.
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, name: Name, *, base_url: str, model: str | None) -> Operation:
        address = urlsplit(base_url)
        attributes: dict[str, Any] = {
            "gen_ai.provider.name": PROVIDER,
            "dashscope.operation": name,
            "server.address": address.hostname or "",
            "server.port": address.port or (443 if address.scheme == "https" else 80),
        }
        if name in _MAKES_PREDICTIONS:
            attributes["gen_ai.operation.name"] = GENERATES
        if name == "stream":
            attributes["gen_ai.request.stream"] = True
        if model is not None:
            attributes["gen_ai.request.model"] = model
        kind = SpanKind.CLIENT if name in _MAKES_PREDICTIONS else SpanKind.INTERNAL
        span = self._tracer.start_span(_title(name, model), kind=kind, attributes=attributes)
        return _Traced(span, name, model)

    def headers(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return carrier


class _Traced(WatchedOperation):
    def __init__(self, span: Span, name: Name, model: str | None) -> None:
        self._span = span
        self._name: Name = name
        self._model = model

    def active(self) -> AbstractContextManager[object]:
        return trace.use_span(
            self._span,
            end_on_exit=False,
            record_exception=False,
            set_status_on_exception=False,
        )

    def saw(self, job: Prediction | Training) -> None:
        what = "prediction" if isinstance(job, Prediction) else "training"
        found: dict[str, Any] = {
            f"dashscope.{what}.id": job.id,
            f"dashscope.{what}.status": job.status,
        }
        if what == "prediction":
            found["gen_ai.response.id"] = job.id
        if job.model is not None:
            version = job.version if job.version not in (None, "hidden") else None
            found["gen_ai.response.model"] = job.model + (f":{version}" if version else "")
        if job.metrics is not None and job.metrics.predict_time is not None:
            found[f"dashscope.{what}.predict_time"] = job.metrics.predict_time
        self._span.set_attributes(found)
        if self._model is None and job.model is not None:
            self._model = job.model
            self._span.set_attribute("gen_ai.request.model", job.model)
            self._span.update_name(_title(self._name, job.model))

    def counted(self, *, done: int, failed: int) -> None:
        self._span.set_attributes({"dashscope.batch.done": done, "dashscope.batch.failed": failed})

    def end(self, error: BaseException | None) -> None:
        if error is not None:
            kind = type(error).__qualname__
            if isinstance(error, APIStatusError):
                kind = str(error.status)
            self._span.set_attribute("error.type", kind)
            self._span.record_exception(error)
            self._span.set_status(StatusCode.ERROR, str(error))
        self._span.end()


def _title(name: Name, model: str | None) -> str:
    """Return the name of a span, of few distinct values: the operation and the model."""
    title = GENERATES if name in _MAKES_PREDICTIONS else f"dashscope.{name}"
    return title if model is None else f"{title} {model}"
