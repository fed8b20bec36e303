"""Small HTTP values: headers, requests, responses, JSON, deadlines, and logging."""

from __future__ import annotations

import json
import logging
import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscope import Headers, Request, Response
from dashscope._common import deadline as _deadline
from dashscope._common import logging as _log
from dashscope._common.deadline import Deadline
from dashscope._common.json import encode, is_array, is_mapping, is_object, is_sequence, object_in
from dashscope._files.local_file import LocalFile
from dashscope.types.http import FilePart
from tests.variants import variants


class TestHeaders:
    def test_the_names_ignore_case(self) -> None:
        headers = Headers({"Content-Type": "text/plain", "X-REQUEST-ID": "r1"})
        assert headers["content-TYPE"] == "text/plain"
        assert headers.get("x-request-id") == "r1"
        assert "CONTENT-type" in headers
        assert "accept" not in headers
        assert headers.get("accept") is None
        with pytest.raises(KeyError):
            headers["accept"]
        assert len(headers) == 2
        assert dict(headers) == {"content-type": "text/plain", "x-request-id": "r1"}

    def test_comparison_ignores_case(self) -> None:
        assert Headers({"A": "1"}) == Headers({"a": "1"})
        assert Headers({"A": "1"}) != Headers({"a": "2"})

    def test_headers_are_immutable(self) -> None:
        given = {"A": "1"}
        headers = Headers(given)
        given["B"] = "2"
        assert list(headers) == ["a"]
        assert not hasattr(headers, "__setitem__")
        assert not hasattr(headers, "__dict__")

    def test_headers_pickle_and_have_a_repr(self) -> None:
        headers = Headers({"A": "1"})
        assert pickle.loads(pickle.dumps(headers)) == headers
        assert repr(headers) == "Headers({'a': '1'})"


def response(content: bytes, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status=200, headers=Headers(named), content=content)


class TestResponse:
    def test_text_and_json(self) -> None:
        result = response('{"a": "ü"}'.encode(), X_Request_Id="r1")
        assert result.text == '{"a": "ü"}'
        assert result.json() == {"a": "ü"}
        assert result.request_id == "r1"

    def test_undecodable_bytes_are_replaced(self) -> None:
        assert response(b"a\xff").text == "a\ufffd"
        assert response(b"").request_id is None

    @pytest.mark.parametrize("content", [b"", b"<html>", b'{"a": ', b"\xff"])
    def test_invalid_json_is_a_value_error(self, content: bytes) -> None:
        with pytest.raises(ValueError):
            response(content).json()

    def test_a_response_is_a_value(self) -> None:
        result = response(b"big" * 1000, A="1")
        assert pickle.loads(pickle.dumps(result)) == result
        assert "bigbig" not in repr(result)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            result.status = 500  # type: ignore[misc]


def test_the_repr_of_a_request_has_no_body() -> None:
    file = LocalFile(filename="a", content_type="text/plain", size=6, source=b"hidden")
    part = FilePart(name="content", file=file)
    request = Request(method="POST", url="https://x/", content=b"hidden", files=(part,))
    assert "hidden" not in repr(request)
    assert request == attrs.evolve(request)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('abcü"\\\n'), inner),
)  # fmt: skip


class TestJSON:
    @given(JSON)
    def test_json_round_trips(self, value: Any) -> None:
        written = encode(value)
        assert json.loads(written) == value
        if isinstance(value, dict):
            assert object_in(written.decode()) == value
        else:
            assert object_in(written.decode()) == {}

    def test_json_is_compact(self) -> None:
        assert encode({"a": [1, "ü"], "b": None}) == '{"a":[1,"ü"],"b":null}'.encode()

    @variants(
        ("value", "error"),
        [
            (float("nan"), ValueError),
            ({"a": [float("inf")]}, ValueError),
            ("\ud800", ValueError),
            (object(), TypeError),
            ({"a": b"x"}, TypeError),
            ({("a",): 1}, TypeError),
            ({1, 2}, TypeError),
        ],
    )
    def test_values_that_are_not_json_are_rejected(
        self, value: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            encode(value)

    def test_cyclic_values_are_rejected(self) -> None:
        value: list[Any] = []
        value.append(value)
        with pytest.raises(ValueError):
            encode(value)

    @variants("text", ["", "null", "[]", "5", "{", "<html>", "[" * 100_000, "\x00"])
    def test_an_empty_text_is_an_empty_object(self, text: str) -> None:
        assert object_in(text) == {}

    def test_json_types(self) -> None:
        assert [is_object(v) for v in ({}, [], Headers({}), None)] == [True, False, False, False]
        assert [is_array(v) for v in ([], (), {}, "a")] == [True, False, False, False]
        assert [is_mapping(v) for v in ({}, Headers({}), [], None)] == [True, True, False, False]
        assert all(is_sequence(v) for v in ([], (), range(3)))
        assert not any(is_sequence(v) for v in ("a", b"a", bytearray(), memoryview(b""), {}, {1}))


class TestDeadline:
    @pytest.fixture(autouse=True)
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        self.now = 1000.0
        monkeypatch.setattr(_deadline.time, "monotonic", lambda: self.now)

    def test_a_deadline_counts_from_now(self) -> None:
        deadline = Deadline.after(5)
        assert deadline.left() == 5
        assert not deadline.expired
        self.now += 3
        assert deadline.left() == 2
        self.now += 2
        assert deadline.expired
        assert deadline.left() == 0
        self.now += 10
        assert deadline.left() == 0

    def test_never_does_not_expire(self) -> None:
        assert Deadline.after(None) is Deadline.NEVER
        assert Deadline.NEVER.left() is None
        assert not Deadline.NEVER.expired
        assert Deadline.NEVER.within(7) == 7

    def test_a_deadline_limits_other_waits(self) -> None:
        deadline = Deadline.after(5)
        assert deadline.within(3) == 3
        assert deadline.within(10) == 5
        self.now += 6
        assert deadline.within(3) == 0

    def test_the_earlier_deadline_applies(self) -> None:
        early, late = Deadline.after(1), Deadline.after(2)
        assert early.sooner(late) is early
        assert late.sooner(early) is early
        assert early.sooner(Deadline.NEVER) is early
        assert Deadline.NEVER.sooner(early) is early
        assert Deadline.NEVER.sooner(Deadline.NEVER) is Deadline.NEVER


class TestLog:
    @pytest.fixture(autouse=True)
    def logger(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        handlers, level = list(_log.logger.handlers), _log.logger.level
        yield
        _log.logger.handlers, _log.logger.level = handlers, level
        _log.logger.setLevel(level)

    @pytest.mark.parametrize("level", [None, "", "loud", "warning"])
    def test_logging_is_silent_by_default(self, level: str | None) -> None:
        _log.configure(level)
        assert [type(handler) for handler in _log.logger.handlers] == [logging.NullHandler]

    @pytest.mark.parametrize(
        ("level", "shown"), [("debug", ["a", "b"]), ("INFO", ["b"]), ("Info", ["b"])]
    )
    def test_a_level_prints_to_stderr(
        self, level: str, shown: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        _log.configure(level)
        _log.logger.debug("a")
        _log.logger.info("b")
        lines = capsys.readouterr().err.splitlines()
        assert [line.split()[-1] for line in lines] == shown
        assert all(" dashscope " in line for line in lines)
