"""JSON to types: checked and never coerced, with what was received in `.raw`."""

from __future__ import annotations

import json
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
    Deployment,
    File,
    Hardware,
    Headers,
    Model,
    Page,
    Prediction,
    Response,
    SearchResults,
    Training,
    Version,
    WebhookSecret,
)
from dashscope._api import decoding
from dashscope._api.decoding import parse_time, structure, structure_list, structure_page

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


def answer(body: Any, status: int = 200) -> Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(
        status=status, headers=Headers({"content-type": "application/json"}), content=content
    )


@pytest.mark.parametrize("cls", REQUIRED)
def test_the_required_fields_are_enough(cls: type[Any]) -> None:
    made = structure(answer(REQUIRED[cls]), cls)
    for name, value in REQUIRED[cls].items():
        assert getattr(made, name) == value
    assert made.raw == REQUIRED[cls]


def test_search_results_may_be_empty() -> None:
    assert structure(answer({}), SearchResults) == SearchResults()


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls, fields in REQUIRED.items() for name in fields]
)
def test_a_required_field_that_is_missing_or_null_is_named(cls: type[Any], name: str) -> None:
    rest = {key: value for key, value in REQUIRED[cls].items() if key != name}
    for body in (rest, {**rest, name: None}, {**rest, name: 5}, {**rest, name: ["x"]}):
        with pytest.raises(APIResponseError, match=rf"not a {cls.__name__}: .*{name}") as caught:
            structure(answer(body), cls)
        assert caught.value.body == json.dumps(body)


@pytest.mark.parametrize(
    ("cls", "field", "value"),
    [
        (Prediction, "model", 5),
        (Prediction, "version", False),
        (Prediction, "input", "text"),
        (Prediction, "input", ["text"]),
        (Prediction, "error", {"message": "no"}),
        (Prediction, "logs", ["a", "b"]),
        (Prediction, "metrics", []),
        (Prediction, "metrics", {"predict_time": "1.5"}),
        (Prediction, "metrics", {"predict_time": True}),
        (Prediction, "created_at", 1700000000),
        (Prediction, "created_at", "yesterday"),
        (Prediction, "created_at", ""),
        (Prediction, "data_removed", 0),
        (Prediction, "data_removed", "false"),
        (Prediction, "urls", "https://example.com"),
        (Prediction, "urls", {"get": 5}),
        (Training, "output", "owner/name:v1"),
        (Training, "output", {"version": 1}),
        (Model, "run_count", "7"),
        (Model, "run_count", 7.0),
        (Model, "run_count", True),
        (Model, "is_official", 1),
        (Model, "latest_version", "v1"),
        (Model, "latest_version", {}),
        (Model, "default_example", {"id": "p1"}),
        (File, "size", "12"),
        (File, "size", 12.5),
        (File, "metadata", []),
        (File, "checksums", "abc"),
        (Collection, "models", {}),
        (Collection, "models", [{"owner": "alice"}]),
        (Deployment, "current_release", {"number": "1"}),
        (Deployment, "current_release", {"created_by": {"type": "user"}}),
        (SearchResults, "models", [{}]),
        (
            SearchResults,
            "models",
            [{"model": {"owner": "a", "name": "b"}, "metadata": {"tags": 1}}],
        ),
        (SearchResults, "collections", [{"slug": "x", "models": [1]}]),
    ],
)
def test_another_type_is_an_error_that_names_the_field(
    cls: type[Any], field: str, value: Any
) -> None:
    with pytest.raises(APIResponseError, match=field):
        structure(answer({**REQUIRED.get(cls, {}), field: value}), cls)


@pytest.mark.parametrize("cls", REQUIRED)
def test_null_stands_for_a_missing_optional_field(cls: type[Any]) -> None:
    plain = structure(answer(REQUIRED[cls]), cls)
    names = [name for name in plain.__attrs_attrs__ if name.name not in {*REQUIRED[cls], "raw"}]
    body = {**REQUIRED[cls], **{attribute.name: None for attribute in names}}
    made = structure(answer(body), cls)
    assert made == plain
    assert all(getattr(made, attribute.name) is None for attribute in names)


@pytest.mark.parametrize("cls", REQUIRED)
def test_a_field_of_tomorrow_stays_in_raw(cls: type[Any]) -> None:
    body = {**REQUIRED[cls], "tomorrow": {"a": [1, None]}, "raw": "mine", "_api": 1, "__class__": 2}
    made = structure(answer(body), cls)
    assert made == structure(answer(REQUIRED[cls]), cls)
    assert made.raw == body


def test_nested_objects_keep_their_own_raw() -> None:
    body = {
        "id": "p1",
        "status": "s",
        "metrics": {"predict_time": 1, "tokens": 7},
        "urls": {"x": "y"},
    }
    prediction = structure(answer(body), Prediction)
    assert prediction.metrics is not None
    assert prediction.metrics.predict_time == 1.0
    assert type(prediction.metrics.predict_time) is float
    assert prediction.metrics.raw["tokens"] == 7
    assert prediction.urls is not None
    assert prediction.urls.raw == {"x": "y"}


@given(JSON)
def test_an_output_is_whatever_json_it_is(output: Any) -> None:
    body = {"id": "p1", "status": "succeeded", "output": output}
    made = structure(answer(body), Prediction).output
    assert made == output
    assert type(made) is type(output)


@given(JSON)
def test_any_json_is_a_prediction_or_an_error_of_ours(body: Any) -> None:
    try:
        made = structure(answer(body), Prediction)
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
def test_any_value_in_a_field_is_taken_as_it_is_or_refused(body: dict[str, Any]) -> None:
    try:
        made = structure(answer(body), Prediction)
    except APIResponseError:
        return
    for name in ("id", "status", "model", "input", "data_removed"):
        assert getattr(made, name) == body.get(name)
        assert type(getattr(made, name)) is type(body.get(name))


@pytest.mark.parametrize(
    ("content", "said"),
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
def test_an_answer_of_another_shape_is_quoted(content: bytes, said: str) -> None:
    with pytest.raises(APIResponseError, match=said):
        structure(answer(content), Prediction)


def test_only_the_start_of_an_answer_is_quoted() -> None:
    with pytest.raises(APIResponseError) as caught:
        structure(answer(b"x" * 10_000), Prediction)
    assert len(str(caught.value)) < 500
    assert caught.value.body == "x" * 200


def test_a_page_is_its_results() -> None:
    body = {"next": "http://x/?cursor=2", "previous": None, "results": [{"id": "v1"}, {"id": "v2"}]}
    page = structure_page(answer(body), Version)
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
    page = structure_page(answer({"results": []}), Version)
    assert not page
    assert page.next is None
    assert page.previous is None


@pytest.mark.parametrize(
    ("body", "said"),
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
def test_a_page_of_another_shape_is_an_error(body: Any, said: str) -> None:
    with pytest.raises(APIResponseError, match=said):
        structure_page(answer(body), Version)


def test_a_list_is_an_array() -> None:
    assert structure_list(answer([{"sku": "cpu"}]), Hardware) == [Hardware(sku="cpu")]
    for body in ({}, {"results": []}, None, "cpu", [1], [{"name": "CPU"}]):
        with pytest.raises(APIResponseError):
            structure_list(answer(body), Hardware)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+00:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (
            "2026-01-02T03:04:05+05:30",
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        ),
        # without a zone it is UTC
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02 03:04:05.5", datetime(2026, 1, 2, 3, 4, 5, 500000, tzinfo=UTC)),
        # a leap second, and a server that counts on
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31T23:59:60.25Z", datetime(2017, 1, 1, 0, 0, 0, 250000, tzinfo=UTC)),
        ("2026-01-02T03:04:75Z", datetime(2026, 1, 2, 3, 5, 15, tzinfo=UTC)),
        ("2026-01-02T03:04:99.123456789", datetime(2026, 1, 2, 3, 5, 39, 123456, tzinfo=UTC)),
    ],
)
def test_a_time_is_aware(text: str, time: datetime) -> None:
    made = parse_time(text)
    assert made == time
    assert made.utcoffset() == time.utcoffset()


@pytest.mark.parametrize("digits", range(10))
def test_a_time_has_up_to_nine_digits_after_the_second(digits: int) -> None:
    fraction = "123456789"[:digits]
    text = "2026-01-02T03:04:05" + (f".{fraction}" if fraction else "") + "Z"
    microseconds = int((fraction + "000000")[:6])
    assert parse_time(text) == datetime(2026, 1, 2, 3, 4, 5, microseconds, tzinfo=UTC)


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3))])))
def test_a_time_written_in_iso_8601_comes_back(time: datetime) -> None:
    assert parse_time(time.isoformat()) == time


@pytest.mark.parametrize(
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
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", '{"a": [NaN]}'])
def test_what_python_alone_takes_for_json_is_refused(text: str) -> None:
    body = f'{{"id": "p1", "status": "succeeded", "output": {text}}}'.encode()
    with pytest.raises(APIResponseError, match="instead of JSON"):
        structure(answer(body), Prediction)
    with pytest.raises(ValueError, match="not JSON"):
        answer(body).json()


def test_a_partial_object_of_a_list_parses() -> None:
    body = {
        "results": [{"id": "p1", "status": "succeeded", "urls": {}}, {"id": "p2", "status": "x"}]
    }
    first, second = structure_page(answer(body), Prediction)
    assert first.urls is not None
    assert first.urls.get is None
    assert first.output is None
    assert "output" not in first.raw
    assert second == Prediction(id="p2", status="x")


def test_what_a_handler_of_a_signal_raises_is_not_taken_for_the_answers_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class TimeIsUp(Exception):
        pass

    def interrupted(*_: object) -> None:
        raise TimeIsUp

    monkeypatch.setattr(decoding, "_fast", SimpleNamespace(structure=interrupted))
    with pytest.raises(TimeIsUp):
        decoding.fitted({"username": "a"}, Account)
