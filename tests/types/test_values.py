"""Values of the API are frozen, comparable, hashable, picklable and copyable."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

import dashscope
from dashscope import (
    Account,
    Collection,
    Deployment,
    DeploymentConfiguration,
    File,
    Hardware,
    Metrics,
    Model,
    Page,
    Prediction,
    Progress,
    Release,
    SearchResults,
    Training,
    TrainingOutput,
    Version,
    WebhookSecret,
)
from dashscope.types.file import Checksums, FileURLs
from dashscope.types.prediction import PredictionURLs
from dashscope.types.search import FoundCollection, FoundModel, FoundPage, SearchMetadata

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RAW = {"id": "x", "secret-of-tomorrow": {"a": [1]}}
ACCOUNT = {"username": "alice", "type": "user"}
MODEL = Model(
    owner="alice", name="model", latest_version=Version(id="v1", openapi_schema={"a": []})
)

VALUES: list[tuple[Any, dict[str, Any]]] = [
    (Account, ACCOUNT),
    (Collection, {"slug": "upscalers", "models": (MODEL,)}),
    (Deployment, {"owner": "alice", "name": "app", "current_release": Release(number=1)}),
    (DeploymentConfiguration, {"hardware": "cpu", "min_instances": 0}),
    (Release, {"number": 1, "created_at": NOW, "created_by": Account(username="alice")}),
    (File, {"id": "f1", "size": 3, "metadata": {"a": [1]}, "urls": FileURLs(get="https://x/f1")}),
    (FileURLs, {"get": "https://x/f1"}),
    (Checksums, {"sha256": "00"}),
    (Hardware, {"sku": "cpu"}),
    (Metrics, {"predict_time": 1.5}),
    (Model, {"owner": "alice", "name": "m", "default_example": Prediction(id="p", status="s")}),
    (Prediction, {"id": "p1", "status": "succeeded", "input": {"a": [1]}, "output": [{"b": 2}]}),
    (PredictionURLs, {"get": "https://x/p1"}),
    (SearchResults, {"query": "x", "models": (FoundModel(model=MODEL),)}),
    (FoundModel, {"model": MODEL, "metadata": SearchMetadata(tags=("a",))}),
    (SearchMetadata, {"tags": ("a", "b"), "score": 0.5}),
    (FoundCollection, {"slug": "upscalers", "models": ("a/b",)}),
    (FoundPage, {"name": "Docs", "href": "/docs"}),
    (Training, {"id": "t1", "status": "succeeded", "input": {"a": 1}, "created_at": NOW}),
    (TrainingOutput, {"version": "a/b:c"}),
    (Version, {"id": "v1", "openapi_schema": {"a": [1]}}),
    (WebhookSecret, {"key": "whsec_x"}),
    (Page, {"results": (MODEL, MODEL), "next": "https://x/?cursor=2"}),
]


@pytest.fixture(params=VALUES, ids=[cls.__name__ for cls, _ in VALUES])
def case(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_the_table_contains_every_public_value() -> None:
    tried = {cls for cls, _ in VALUES} | {Progress}
    public = [getattr(dashscope, name) for name in dashscope.__all__]
    values = {cls for cls in public if isinstance(cls, type) and attrs.has(cls)}
    values = {cls for cls in values if "raw" in attrs.fields_dict(cls)}
    assert values - {dashscope.Request, dashscope.Response} <= tried


def test_values_with_equal_fields_are_equal(case: Any) -> None:
    cls, fields = case
    assert cls(**fields) == cls(**fields, raw=RAW)
    assert hash(cls(**fields)) == hash(cls(**fields, raw=RAW))
    assert len({cls(**fields), cls(**fields, raw=RAW)}) == 1


def test_every_field_except_raw_is_compared(case: Any) -> None:
    cls, fields = case
    value = cls(**fields)
    for attribute in attrs.fields(cls):
        if attribute.name != "raw":
            assert attrs.evolve(value, **{attribute.name: "something else"}) != value


def test_values_are_immutable(case: Any) -> None:
    cls, fields = case
    value = cls(**fields)
    for name in [*fields, "raw"]:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(value, name, None)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            delattr(value, name)


def test_values_have_no_other_attributes(case: Any) -> None:
    cls, fields = case
    value = cls(**fields)
    assert not hasattr(value, "__dict__")
    with pytest.raises(AttributeError):
        object.__setattr__(value, "other", 1)


def test_fields_are_keyword_only(case: Any) -> None:
    cls, fields = case
    with pytest.raises(TypeError):
        cls(*fields.values())


def test_only_the_identifying_fields_are_required(case: Any) -> None:
    cls, _ = case
    required = {field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING}
    assert required <= {
        "id", "status", "username", "slug", "owner", "name", "sku", "key", "results", "model"
    }  # fmt: skip
    for field in attrs.fields(cls):
        if field.name not in required and field.name != "raw":
            assert field.default is None


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_values_pickle(case: Any, protocol: int) -> None:
    cls, fields = case
    value = cls(**fields, raw=RAW)
    other = pickle.loads(pickle.dumps(value, protocol))
    assert other == value
    assert other.raw == RAW
    assert type(other) is cls


def test_values_can_be_copied(case: Any) -> None:
    cls, fields = case
    value = cls(**fields, raw=RAW)
    for other in (copy.copy(value), copy.deepcopy(value)):
        assert other == value
        assert other.raw == RAW


def test_a_repr_omits_the_raw_json(case: Any) -> None:
    cls, fields = case
    text = repr(cls(**fields, raw=RAW))
    assert text.startswith(f"{cls.__name__}(")
    assert "secret-of-tomorrow" not in text
    assert "raw=" not in text


def test_a_repr_hides_the_secret() -> None:
    assert "whsec_hidden" not in repr(WebhookSecret(key="whsec_hidden"))


@pytest.mark.parametrize("cls", [Prediction, Training])
def test_is_done_is_true_for_terminal_statuses(cls: type[Any]) -> None:
    over = {
        status: cls(id="x", status=status).is_done
        for status in (
            "starting",
            "processing",
            "succeeded",
            "failed",
            "canceled",
            "aborted",
            "new",
        )
    }
    assert over == {
        "starting": False,
        "processing": False,
        "succeeded": True,
        "failed": True,
        "canceled": True,
        "aborted": True,
        "new": False,
    }


@pytest.mark.parametrize("cls", [Prediction, Training])
def test_progress_is_read_from_the_logs(cls: type[Any]) -> None:
    assert cls(id="x", status="processing").progress is None
    assert cls(id="x", status="processing", logs="").progress is None
    running = cls(
        id="x", status="processing", logs="Loading\n 30%|███       | 3/10 [00:01<00:02]\n"
    )
    assert running.progress == Progress(percentage=0.3, current=3, total=10)
