"""Decoding: JSON is checked but never coerced, and `.raw` contains the received object."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscope import (
    Account,
    APIResponseError,
    Collection,
    DashscopeError,
    Deployment,
    File,
    Hardware,
    Headers,
    Metrics,
    Model,
    Page,
    Prediction,
    Release,
    Response,
    SearchResults,
    Training,
    Version,
    WebhookSecret,
)
from dashscope._api.decoding import structure, structure_list, structure_page
from dashscope.types import _structure
from dashscope.types._structure import fitted, parse_time
from tests.variants import variants

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

REQUIRED: dict[type, dict[str, Any]] = {
    Account: {"username": "alice"},
    Collection: {"slug": "upscalers"},
    Deployment: {"owner": "alice", "name": "app"},
    File: {"id": "f1"},
    Hardware: {"sku": "cpu"},
    Model: {"owner": "alice", "name": "model"},
    Prediction: {"id": "p1", "status": "starting"},
    Training: {"id": "t1", "status": "starting"},
    Version: {"id": "v1"},
    WebhookSecret: {"key": "whsec_x"},
}


def response(body: Any, status: int = 200) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(
        status=status, headers=Headers({"content-type": "application/json"}), content=content
    )


@variants("cls", REQUIRED)
def test_the_required_fields_are_enough(cls: type[Any]) -> None:
    made = structure(response(REQUIRED[cls]), cls)
    for name, value in REQUIRED[cls].items():
        assert getattr(made, name) == value
    assert made.raw == REQUIRED[cls]


def test_search_results_may_be_empty() -> None:
    assert structure(response({}), SearchResults) == SearchResults()


@variants(("cls", "name"), [(cls, name) for cls, fields in REQUIRED.items() for name in fields])
def test_an_error_names_the_missing_or_null_required_field(cls: type[Any], name: str) -> None:
    rest = {key: value for key, value in REQUIRED[cls].items() if key != name}
    for body in (rest, {**rest, name: None}, {**rest, name: 5}, {**rest, name: ["x"]}):
        with pytest.raises(APIResponseError, match=rf"not a {cls.__name__}: .*{name}") as caught:
            structure(response(body), cls)
        assert caught.value.body == json.dumps(body)


STRICT: list[tuple[type[Any], str, Any]] = [
    (Prediction, "urls", "https://example.com"),
    (Prediction, "urls", {"get": 5}),
    (Training, "output", "owner/name:v1"),
    (Training, "output", {"version": 1}),
    (File, "urls", {"get": []}),
]
LENIENT: list[tuple[type[Any], str, Any]] = [
    (Prediction, "model", 5),
    (Prediction, "version", False),
    (Prediction, "input", "text"),
    (Prediction, "input", ["text"]),
    (Prediction, "error", {"message": "no"}),
    (Prediction, "logs", ["a", "b"]),
    (Prediction, "metrics", []),
    (Prediction, "created_at", 1700000000),
    (Prediction, "created_at", "yesterday"),
    (Prediction, "completed_at", ""),
    (Prediction, "data_removed", 0),
    (Training, "metrics", "none"),
    (Model, "run_count", "7"),
    (Model, "run_count", 7.5),
    (Model, "run_count", True),
    (Model, "latest_version", "v1"),
    (Model, "latest_version", {}),
    (Model, "default_example", {"id": "p1"}),
    (Model, "default_example", {"id": "p1", "status": "x", "urls": {"get": 5}}),
    (File, "size", "12"),
    (File, "metadata", []),
    (Collection, "models", {}),
    (Collection, "models", [{"owner": "alice"}]),
    (Deployment, "current_release", []),
    (SearchResults, "models", [{}]),
    (SearchResults, "collections", [{"slug": 1}]),
]


def test_an_output_or_url_of_the_wrong_type_is_an_error() -> None:
    for cls, field, value in STRICT:
        with pytest.raises(APIResponseError, match=rf"@ \$\.{field}"):
            structure(response({**REQUIRED[cls], field: value}), cls)


def test_an_optional_field_of_the_wrong_type_stays_in_raw() -> None:
    for cls, field, value in LENIENT:
        body = {**REQUIRED.get(cls, {}), field: value}
        page = structure_page(response({"results": [body]}), cls)
        for made in (structure(response(body), cls), page[0]):
            assert getattr(made, field) is None
            assert made.raw == body
    body = {"metrics": {"predict_time": "1.5", "total_time": 2}, "output": ["paid"], "logs": 5}
    prediction = structure(response({**REQUIRED[Prediction], **body}), Prediction)
    assert prediction.output == ["paid"]
    assert prediction.metrics == Metrics(total_time=2.0)
    assert prediction.metrics.raw == body["metrics"]
    release = {"number": "1", "created_by": {"type": "user"}, "version": "v1"}
    deployment = structure(
        response({**REQUIRED[Deployment], "current_release": release}), Deployment
    )
    assert deployment.current_release == Release(version="v1")


@variants("cls", REQUIRED)
def test_null_is_the_same_as_a_missing_optional_field(cls: type[Any]) -> None:
    plain = structure(response(REQUIRED[cls]), cls)
    names = [name for name in plain.__attrs_attrs__ if name.name not in {*REQUIRED[cls], "raw"}]
    body = {**REQUIRED[cls], **{attribute.name: None for attribute in names}}
    made = structure(response(body), cls)
    assert made == plain
    assert all(getattr(made, attribute.name) is None for attribute in names)


@variants("cls", REQUIRED)
def test_an_unknown_field_stays_in_raw(cls: type[Any]) -> None:
    body = {**REQUIRED[cls], "tomorrow": {"a": [1, None]}, "raw": "mine", "_api": 1, "__class__": 2}
    made = structure(response(body), cls)
    assert made == structure(response(REQUIRED[cls]), cls)
    assert made.raw == body


def test_nested_objects_have_their_own_raw() -> None:
    body = {
        "id": "p1",
        "status": "s",
        "metrics": {"predict_time": 1, "tokens": 7},
        "urls": {"x": "y"},
    }
    prediction = structure(response(body), Prediction)
    assert prediction.metrics is not None
    assert prediction.metrics.predict_time == 1.0
    assert type(prediction.metrics.predict_time) is float
    assert prediction.metrics.raw["tokens"] == 7
    assert prediction.urls is not None
    assert prediction.urls.raw == {"x": "y"}


@given(JSON)
def test_an_output_may_be_any_json(output: Any) -> None:
    body = {"id": "p1", "status": "succeeded", "output": output}
    made = structure(response(body), Prediction).output
    assert made == output
    assert type(made) is type(output)


@given(JSON)
def test_any_json_decodes_or_raises_a_dashscope_error(body: Any) -> None:
    try:
        made = structure(response(body), Prediction)
    except APIResponseError:
        return
    assert isinstance(made.id, str)
    assert isinstance(made.status, str)


@given(
    st.fixed_dictionaries(
        {"id": st.text(), "status": st.text()},
        optional=dict.fromkeys(
            ("model", "input", "metrics", "created_at", "urls", "data_removed"), JSON
        ),
    )
)
def test_any_value_of_a_field_is_kept_or_omitted(body: dict[str, Any]) -> None:
    try:
        made = structure(response(body), Prediction)
    except APIResponseError:
        return
    for name in ("id", "status", "model", "input", "data_removed"):
        value = getattr(made, name)
        assert value is None or (value == body[name] and type(value) is type(body[name]))


@variants(
    ("content", "message"),
    [
        (b"", "empty body"),
        (b"<html>Bad gateway</html>", "instead of JSON.*Bad gateway"),
        (b'{"id": "p1", "sta', "instead of JSON"),
        (b"\xff\xfe", "instead of JSON"),
        (b"[" * 100_000, "instead of JSON"),
        (b"null", "expected an object"),
        (b"[]", "expected an object"),
        (b'"p1"', "expected an object"),
        (b"1", "expected an object"),
    ],
)
def test_an_error_quotes_the_unexpected_response(content: bytes, message: str) -> None:
    with pytest.raises(APIResponseError, match=message):
        structure(response(content), Prediction)


def test_an_error_quotes_only_the_start_of_the_response() -> None:
    with pytest.raises(APIResponseError) as caught:
        structure(response(b"x" * 10_000), Prediction)
    assert len(str(caught.value)) < 500
    assert caught.value.body == "x" * 200


def test_a_page_iterates_over_its_results() -> None:
    body = {"next": "http://x/?cursor=2", "previous": None, "results": [{"id": "v1"}, {"id": "v2"}]}
    page = structure_page(response(body), Version)
    assert page == Page(results=(Version(id="v1"), Version(id="v2")), next="http://x/?cursor=2")
    assert page.raw == body
    assert [version.id for version in page] == ["v1", "v2"]
    assert page[0].id == "v1"
    assert page[-1].id == "v2"
    assert page[:1] == (Version(id="v1"),)
    assert len(page) == 2
    assert Version(id="v2") in page
    assert [version.id for version in reversed(page)] == ["v2", "v1"]
    with pytest.raises(IndexError):
        page[2]


def test_a_page_may_be_empty() -> None:
    page = structure_page(response({"results": []}), Version)
    assert not page
    assert page.next is None
    assert page.previous is None


@variants(
    ("body", "message"),
    [
        ([], "list instead of an object"),
        ({}, "NoneType instead of an array"),
        ({"results": None}, "NoneType instead of an array"),
        ({"results": {}}, "dict instead of an array"),
        ({"results": [{}]}, "not a Version.*id"),
        ({"results": [None]}, "not a Version"),
        ({"results": [], "next": 5}, "int instead of the URL"),
        ({"results": [], "next": {"url": "x"}}, "dict instead of the URL"),
        ({"results": [], "previous": False}, "bool instead of the URL"),
    ],
)
def test_an_invalid_page_is_an_error(body: Any, message: str) -> None:
    with pytest.raises(APIResponseError, match=message):
        structure_page(response(body), Version)


def test_a_list_is_an_array() -> None:
    assert structure_list(response([{"sku": "cpu"}]), Hardware) == [Hardware(sku="cpu")]
    for body in ({}, {"results": []}, None, "cpu", [1], [{"name": "CPU"}]):
        with pytest.raises(APIResponseError):
            structure_list(response(body), Hardware)


@variants(
    ("text", "time"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+00:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (
            "2026-01-02T03:04:05+05:30",
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        ),
        # without a time zone it is UTC
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02 03:04:05.5", datetime(2026, 1, 2, 3, 4, 5, 500000, tzinfo=UTC)),
        # a leap second, and a leap year
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.25Z", datetime(2017, 1, 1, 0, 0, 0, 250000, tzinfo=UTC)),
        ("2026-01-02T03:04:75Z", datetime(2026, 1, 2, 3, 5, 15, tzinfo=UTC)),
        ("2026-01-02T03:04:99.123456789", datetime(2026, 1, 2, 3, 5, 39, 123456, tzinfo=UTC)),
    ],
)
def test_times_have_a_time_zone(text: str, time: datetime) -> None:
    made = parse_time(text)
    assert made == time
    assert made.utcoffset() == time.utcoffset()


@variants("digits", range(10))
def test_times_have_up_to_nine_fractional_digits(digits: int) -> None:
    fraction = "123456789"[:digits]
    text = "2026-01-02T03:04:05" + (f".{fraction}" if fraction else "") + "Z"
    microseconds = int((fraction + "000000")[:6])
    assert parse_time(text) == datetime(2026, 1, 2, 3, 4, 5, microseconds, tzinfo=UTC)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3))])))
def test_iso_8601_times_round_trip(time: datetime) -> None:
    assert parse_time(time.isoformat()) == time


@variants(
    "text",
    [
        "",
        "now",
        "1700000000",
        "2026-13-01T00:00:00Z",
        "2026-01-02T25:00:00Z",
        "2026-01-02T03:04:5Z",
        "2026-01-02T03:04:05 UTC",
        "2026-01-02T03:99:60Z",
        "2026-01-02",
        "20260102",
        "2026-W01-5",
    ],
)
def test_an_invalid_time_is_rejected(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '{"a": [NaN]}'])
def test_nan_and_infinity_are_rejected(text: str) -> None:
    body = f'{{"id": "p1", "status": "succeeded", "output": {text}}}'.encode()
    name = text.strip('{"a: []}')
    with pytest.raises(APIResponseError, match=rf"sent {name}, which is not JSON, in the body"):
        structure(response(body), Prediction)
    with pytest.raises(ValueError, match="not JSON"):
        response(body).json()


def test_a_partial_object_in_a_list_is_decoded() -> None:
    body = {
        "results": [{"id": "p1", "status": "succeeded", "urls": {}}, {"id": "p2", "status": "x"}]
    }
    first, second = structure_page(response(body), Prediction)
    assert first.urls is not None
    assert first.urls.get is None
    for prediction in (first, second):
        for name in ("input", "output"):
            with pytest.raises(DashscopeError, match=rf"get\('{prediction.id}'\)\.{name}"):
                getattr(prediction, name)
            assert prediction[name] is None
            assert name not in prediction.to_dict()
            assert name not in repr(prediction)
    assert second != Prediction(id="p2", status="x")
    for copied in (pickle.loads(pickle.dumps(second)), copy.deepcopy(second)):
        assert copied == second
        assert hash(copied) == hash(second)
        with pytest.raises(DashscopeError):
            copied.output  # noqa: B018


def test_an_exception_from_a_signal_handler_propagates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class TimeIsUp(Exception):
        pass

    def interrupted(*_: object) -> None:
        raise TimeIsUp

    monkeypatch.setattr(_structure, "_converter", SimpleNamespace(structure=interrupted))
    with pytest.raises(TimeIsUp):
        fitted({"username": "a"}, Account)
