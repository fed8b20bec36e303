"""Values work wherever a dict works: JSON, pydantic, FastAPI, data frames, and mappings."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs
import cattrs
import httpx
import msgspec
import orjson
import pytest
import yaml
from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter, ValidationError

from dashscope import (
    AsyncClient,
    BatchProgress,
    BatchResult,
    Client,
    Collection,
    DashscopeError,
    Deployment,
    DoneEvent,
    Event,
    File,
    FileError,
    LogsEvent,
    Model,
    OtherEvent,
    OutputEvent,
    Page,
    Prediction,
    SearchResults,
    Training,
    WebhookSecret,
)
from dashscope.types._repr import LONGEST
from dashscope.types._structure import fitted
from dashscope.types.prediction import Metrics, PredictionURLs
from tests.resources import contract

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PREDICTION = Prediction(
    id="p1",
    status="succeeded",
    model="owner/name",
    input={"text": "Alice"},
    output="hello Alice",
    metrics=Metrics(predict_time=1.5),
    created_at=TIME,
    urls=PredictionURLs(get="https://x/p1"),
    raw={"unknown": 1},
)
PAGE = Page(results=(PREDICTION, PREDICTION), next="https://x/?cursor=2")
FAILED = BatchResult(index=0, input={"text": "Bob"}, error=FileError("no file"))
DONE = BatchResult(index=1, input={"text": "Alice"}, output="hello", prediction=PREDICTION)
PROGRESS = BatchProgress(
    total=None, queued=1, running=2, done=3, failed=4, skipped=0, rate=1.5, elapsed=2.0,
    remaining=None,
)  # fmt: skip
VALUES: list[tuple[Any, Any]] = [
    (Prediction, PREDICTION),
    (Page[Prediction], PAGE),
    (Page, Page(results=("a", 1))),
    (BatchResult, DONE),
    (BatchProgress, PROGRESS),
    (PredictionURLs, PREDICTION.urls),
    (Event, OutputEvent("text", "1")),
    (Event, LogsEvent("line\n")),
    (Event, DoneEvent("canceled")),
    (Event, OtherEvent("custom", "data", "2")),
    (Collection, fitted(contract.COLLECTION, Collection)),
    (Deployment, fitted(contract.DEPLOYMENT, Deployment)),
    (File, fitted(contract.FILE, File)),
    (Model, fitted(contract.MODEL, Model)),
    (SearchResults, fitted(contract.SEARCH, SearchResults)),
    (Training, fitted(contract.TRAINING, Training)),
    (WebhookSecret, WebhookSecret(key="whsec_x")),
]


def test_a_value_is_a_mapping_of_its_fields() -> None:
    assert isinstance(PREDICTION, Mapping)
    assert not isinstance(PREDICTION.urls, Mapping)  # its field `get` would hide `Mapping.get`
    names = [field.name for field in attrs.fields(Prediction) if field.name != "raw"]
    assert list(PREDICTION) == names
    assert len(PREDICTION) == len(names)
    assert "raw" not in PREDICTION
    assert PREDICTION["metrics"] == {"predict_time": 1.5, "total_time": None}
    assert PREDICTION["urls"]["get"] == "https://x/p1"
    assert PREDICTION["created_at"] is TIME
    assert PREDICTION.get("nothing", 5) == 5
    with pytest.raises(KeyError):
        PREDICTION["raw"]
    assert {**PREDICTION}["output"] == "hello Alice"
    assert fitted(contract.COLLECTION, Collection)["models"][0]["owner"] == "acme"
    assert dict(PREDICTION) != PREDICTION
    assert dict(FAILED) == {
        "index": 0, "input": {"text": "Bob"}, "output": None, "error": "no file",
        "prediction": None, "from_checkpoint": False,
    }  # fmt: skip


def test_to_dict_has_wire_names_and_json_types() -> None:
    made = PREDICTION.to_dict()
    assert made["created_at"] == "2026-01-02T03:04:05Z"
    assert made["urls"] == {"get": "https://x/p1", "cancel": None, "stream": None, "web": None}
    assert "raw" not in made
    assert PREDICTION.to_json() == json.dumps(made, separators=(",", ":"))
    assert PREDICTION.to_json(indent=2) == json.dumps(made, indent=2)
    assert PAGE.to_dict() == {"results": [made, made], "next": PAGE.next, "previous": None}
    assert FAILED.to_dict()["error"] == "no file"
    assert FAILED.to_dict()["output"] is None
    assert OutputEvent("text", "1").to_dict() == {"event": "output", "id": "1", "data": "text"}
    assert DoneEvent("canceled").to_dict()["data"] == '{"reason": "canceled"}'
    for _, value in VALUES:
        plain = value.to_dict()
        for encoded in (
            json.loads(value.to_json()),
            orjson.loads(orjson.dumps(plain)),
            msgspec.json.decode(msgspec.json.encode(plain)),
            yaml.safe_load(yaml.safe_dump(plain)),
        ):
            assert encoded == plain


def test_cattrs_accepts_the_documented_hook() -> None:
    converter = cattrs.Converter()
    converter.register_unstructure_hook(Prediction, lambda prediction: prediction.to_dict())
    assert converter.unstructure([PREDICTION]) == [PREDICTION.to_dict()]


def test_django_responds_with_a_dict() -> None:
    from django.conf import settings
    from django.http import JsonResponse

    if not settings.configured:
        settings.configure()
    response = JsonResponse(PREDICTION.to_dict())
    assert json.loads(response.content) == PREDICTION.to_dict()


def test_pydantic_validates_serializes_and_describes_every_value() -> None:
    for kind, value in VALUES:
        adapter = TypeAdapter(kind)
        assert adapter.validate_python(value) is value
        assert adapter.validate_json(adapter.dump_json(value)) == value
        assert adapter.validate_python(adapter.dump_python(value)) == value
        if isinstance(value, Mapping) and kind is not Event:
            assert adapter.validate_python(dict(value)) == value
        schema = adapter.json_schema(mode="serialization")
        assert schema == adapter.json_schema(mode="validation")
    copied = TypeAdapter(BatchResult).validate_json(FAILED.to_json())
    assert type(copied.error) is DashscopeError
    with pytest.raises(DashscopeError, match="no file"):
        _ = copied.output

    class Job(BaseModel):
        prediction: Prediction
        pages: list[Page[Model]] = []

    job = Job(prediction=PREDICTION)
    assert Job.model_validate_json(job.model_dump_json()) == job
    for wrong in ({"id": "p1"}, {"id": "p1", "status": 5}, "p1", None):
        with pytest.raises(ValidationError):
            Job.model_validate({"prediction": wrong})
    with pytest.raises(ValidationError, match="event must be 'output', not 'logs'"):
        TypeAdapter(OutputEvent).validate_python({"event": "logs", "data": "x"})


def test_the_json_schema_names_fields_and_leaves_the_status_open() -> None:
    schema = TypeAdapter(Prediction).json_schema()
    statuses = ["starting", "processing", "succeeded", "failed", "canceled", "aborted"]
    assert schema["properties"]["status"]["anyOf"] == [
        {"type": "string", "enum": statuses},
        {"type": "string"},
    ]
    assert {"type": "string", "format": "date-time"} in schema["properties"]["created_at"]["anyOf"]
    assert schema["required"] == ["id", "status"]
    assert TypeAdapter(Prediction).validate_python({"id": "p", "status": "new"}).status == "new"


async def test_fastapi_returns_values_with_and_without_an_annotation() -> None:
    app = FastAPI()

    @app.get("/typed")
    async def typed() -> Prediction:
        return PREDICTION

    @app.get("/page")
    async def page() -> Page[Prediction]:
        return PAGE

    @app.get("/untyped", response_model=None)
    async def untyped() -> Any:
        return {"items": [PREDICTION]}

    @app.post("/echo")
    async def echo(prediction: Prediction) -> str:
        return f"{type(prediction).__name__} {prediction.created_at}"

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/typed")).json() == PREDICTION.to_dict()
        assert (await client.get("/page")).json() == PAGE.to_dict()
        assert (await client.get("/untyped")).json()["items"][0]["id"] == "p1"
        echoed = await client.post("/echo", json=PREDICTION.to_dict())
        assert echoed.json() == f"Prediction {TIME}"
        assert (await client.post("/echo", json={"id": "p1"})).status_code == 422
    components = app.openapi()["components"]["schemas"]
    assert {"Prediction", "Metrics", "PredictionURLs", "Page"} <= components.keys()
    assert components["Prediction"]["properties"].keys() == set(PREDICTION)


def test_a_data_frame_has_a_column_per_field() -> None:
    import pandas as pd

    for rows in (PAGE, [PREDICTION, PREDICTION], iter([PREDICTION, PREDICTION])):
        frame = pd.DataFrame(rows)
        assert list(frame.columns) == list(PREDICTION)
        assert list(frame["output"]) == ["hello Alice"] * 2
        assert str(frame["created_at"].dtype).startswith("datetime64")
    frame = pd.DataFrame([FAILED, DONE])
    assert list(frame.columns) == list(FAILED)
    assert frame["error"][0] == "no file"


def test_the_output_of_a_failed_row_raises_its_error() -> None:
    for result in (FAILED, pickle.loads(pickle.dumps(FAILED)), copy.deepcopy(FAILED)):
        with pytest.raises(FileError, match="no file"):
            _ = result.output
        with pytest.raises(FileError, match="no file"):
            getattr(result, "output", None)
        assert repr(result) == repr(FAILED)
        assert "output" not in repr(result)
        assert not result.ok
    assert DONE.output == "hello"
    assert len({FAILED, attrs.evolve(DONE, index=2), DONE}) == 3


def test_a_repr_is_always_short() -> None:
    uri = "data:image/png;base64," + "A" * 10_000 + "END"
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    outputs = [
        "x" * 100_000, [uri] * 50, {"a": {"b": ["text" * 500] * 100}}, deep, list(range(100_000)),
        {str(n): "y" * 300 for n in range(1000)}, b"x" * 100_000, {"key" * 5000: 1}, "\x00" * 9000,
    ]  # fmt: skip
    for output in outputs:
        for value in (
            attrs.evolve(PREDICTION, output=output),
            BatchResult(index=0, input={"a": output}, error=ValueError(str(output)[:50_000])),
            BatchResult(index=0, input={}, prediction=attrs.evolve(PREDICTION, output=output)),
            Page(results=(output,) * 100),
        ):
            assert len(repr(value)) <= LONGEST
    shown = repr(attrs.evolve(PREDICTION, output=[uri, "short"]))
    assert "data:image/png;base64,AAA" in shown
    assert "AAAEND', 'short'" in shown
    assert repr(PAGE) == "Page(results=<2 Prediction>, next='https://x/?cursor=2', previous=None)"


def test_batches_and_streams_show_a_summary() -> None:
    for client in (AsyncClient(), Client()):
        name = "Async" if isinstance(client, AsyncClient) else ""
        batch, stream = client.map("a/b", [{}, {}]), client.stream("a/b", {})
        assert repr(batch) == f"<{name}Batch of a/b, not entered>"
        assert repr(stream) == f"<{name}EventStream of a/b, not entered>"


def test_methods_of_other_packages_get_a_hint() -> None:
    for name, hint in {
        "wait": "client.wait",
        "reload": "predictions.get",
        "cancel": "cancel(",
    }.items():
        with pytest.raises(
            AttributeError, match=rf"no attribute '{name}'\. .*{hint}".replace("(", r"\(")
        ):
            getattr(PREDICTION, name)
    assert not hasattr(PREDICTION, "nothing")


def test_optional_libraries_are_not_imported() -> None:
    program = (
        "import sys, dashscope; prediction = dashscope.Prediction(id='p', status='failed'); "
        "prediction.to_json(); dict(prediction); repr(prediction); "
        "print(*{'pydantic', 'pandas', 'numpy', 'cattrs'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")
