"""Parsing and validation: references, progress bars, durations, headers, webhooks, cursors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscope import Prediction, Progress, Training
from dashscope._api.resource import id_of, page_params, time_param
from dashscope._common.urls import Reference
from dashscope._predictions.create import check_webhook, creation_headers, duration
from tests.variants import variants


def progress(percentage: float, current: int, total: int) -> Progress:
    return Progress(percentage=percentage, current=current, total=total)


@variants(
    ("logs", "expected"),
    [
        # all styles of tqdm
        ("  0%|          | 0/10 [00:00<?, ?it/s]", progress(0.0, 0, 10)),
        (" 40%|████      | 4/10 [00:01<00:01,  3.98it/s]\n", progress(0.4, 4, 10)),
        ("100%|██████████| 10/10 [00:02<00:00,  4.99it/s]", progress(1.0, 10, 10)),
        (" 50%|#####     | 5/10 [00:01<00:01]", progress(0.5, 5, 10)),
        (" 33%|###3      | 1/3 [00:01<00:01]", progress(0.33, 1, 3)),
        ("Loading:  50%|█████     | 5/10 [00:01<00:01]\n", progress(0.5, 5, 10)),
        ("[train] a|b:  50%|█████     | 5/10 [00:01<00:01]\n", progress(0.5, 5, 10)),
        ("50%|█████     | 512/1024 [00:01<00:01]\n", progress(0.5, 512, 1024)),
        ("  5%|          | 1234567/24691340 [1:02:03<?]\n", progress(0.05, 1234567, 24691340)),
        (" 50%||5/10 [00:01<00:01]\n", progress(0.5, 5, 10)),
        (" 50%|█████     | 5/10\n", progress(0.5, 5, 10)),
        ("101%|██████████| 101/100 [00:02<00:00]\n", progress(1.0, 101, 100)),
        # the last complete line counts
        (" 10%|█| 1/10 [0]\r 20%|██| 2/10 [0]\r 30%|███| 3/10 [0]\r", progress(0.3, 3, 10)),
        (" 10%|█| 1/10 [0]\n 20%|██| 2/10 [0]\nsaved\n\n", progress(0.2, 2, 10)),
        (" 90%|█| 9/10 [0]\n 10%|█| 1/10 [0]\n", progress(0.1, 1, 10)),
        ("10%|█| 1/10 [0]\r\n20%|██| 2/10 [0]\r\n", progress(0.2, 2, 10)),
        ("10%|█| 1/10 [0] 20%|██| 2/10 [0]\n", progress(0.2, 2, 10)),
        # an incomplete line does not count
        (" 10%|█| 1/10 [0]\r 20%|██| 2/1", progress(0.1, 1, 10)),
        (" 10%|█| 1/10 [0]\r 20%|██| 2/10", progress(0.1, 1, 10)),
        (" 10%|█| 1/10 [0]\r 20%|██| 2/", progress(0.1, 1, 10)),
        (" 10%|█| 1/10 [0]\r 20%|██", progress(0.1, 1, 10)),
        (" 10%|█| 1/10 [0]\r 2", progress(0.1, 1, 10)),
        (" 20%|██| 2/10", None),
        # no bar, or a bar without whole numbers
        ("", None),
        ("\n", None),
        ("50% done, 5/10\n", None),
        ("5it [00:01,  3.98it/s]\n", None),
        ("50%|█████| 1.5k/3.0k [00:01<00:01]\n", None),
        ("50%|█████| 1.5/3.0 [00:01<00:01]\n", None),
        ("50%|█████| 5/10k [00:01<00:01]\n", None),
        ("50%|█████| -5/10 [00:01<00:01]\n", None),
        ("٥٠%|█████| ٥/١٠ [00:01]\n", None),
        ("%|█████| 5/10 [00:01]\n", None),
    ],
)
def test_the_last_complete_bar_is_the_progress(logs: str, expected: Progress | None) -> None:
    assert Progress.parse(logs) == expected


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 60))
def test_a_truncated_bar_never_yields_a_wrong_number(current: int, total: int, cut: int) -> None:
    percentage = min(100, 100 * current // total)
    line = f"{percentage:3d}%|{'█' * (percentage // 10):10s}| {current}/{total} [00:01<00:02]"
    parsed = Progress.parse("  0%|          | 0/7 [00:00<?]\r" + line[: min(cut, len(line))])
    assert parsed in (progress(0.0, 0, 7), progress(percentage / 100, current, total))


@variants(
    "log",
    ["1%|", "1%||", "1%|| ", "1%||1/", "1%|x| 1", "1", "\r1%|", "1%|" + "x" * 1000],
)
def test_parsing_progress_takes_linear_time(log: str) -> None:
    """A quadratic regular expression once took half a minute for 48 KB."""
    for start in ("", "1%|x"):
        Progress.parse(start + log * (200_000 // len(log)))


@given(st.text(alphabet=st.sampled_from("0123456789%|/█ []\r\nab.")))
def test_any_log_has_progress_or_none(logs: str) -> None:
    parsed = Progress.parse(logs)
    assert parsed is None or 0 <= parsed.percentage <= 1


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("owner/name", ("owner", "name", None)),
        ("owner/name:v1", ("owner", "name", "v1")),
        ("stability-ai/sd_xl.1:" + "0" * 64, ("stability-ai", "sd_xl.1", "0" * 64)),
    ],
)
def test_a_reference_is_a_model_or_a_version(text: str, parts: tuple[Any, ...]) -> None:
    made = Reference.parse(text)
    assert (made.owner, made.name, made.version) == parts


@variants(
    "text",
    [
        "", "name", "/", "owner/", "/name", "owner//name", "a/b/c", "owner/name:", "owner/name:v:w",
        "owner/:v", ":v", "owner/name/v", "owner/name:v/w", " own/name", "owner/name ", "own er/x",
        "owner/name\n", "own\ter/name", "https://example.com/owner/name", None, 5, b"owner/name",
        ["owner", "name"],
    ],
)  # fmt: skip
def test_an_invalid_reference_names_both_forms(text: Any) -> None:
    error = ValueError if isinstance(text, str) else TypeError
    with pytest.raises(error, match=r"owner/name or owner/name:version"):
        Reference.parse(text)


@variants(
    ("value", "seconds"),
    [
        (0, 0),
        (30, 30),
        (30.0, 30),
        (30.2, 31),
        (timedelta(minutes=5), 300),
        (timedelta(milliseconds=1500), 2),
        ("30", 30),
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1h30m", 5400),
        ("2h30m", 9000),
        ("1h30m45s", 5445),
        ("1h45s", 3645),
        ("5m5", 305),
        ("90m", 5400),
        ("0s", 0),
    ],
)
def test_a_duration_is_seconds_rounded_up(value: Any, seconds: int) -> None:
    made = duration(value)
    assert made == seconds
    assert type(made) is int


@variants(
    ("value", "error"),
    [
        ("", ValueError),
        ("s", ValueError),
        ("5 m", ValueError),
        ("5d", ValueError),
        ("5M", ValueError),
        ("5m1h", ValueError),
        ("1.5h", ValueError),
        ("-5", ValueError),
        ("+5", ValueError),
        ("٥", ValueError),
        ("5s\n", ValueError),
        (-1, ValueError),
        (timedelta(seconds=-1), ValueError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        (True, TypeError),
        (None, TypeError),
        ([5], TypeError),
    ],
)
def test_an_invalid_duration_is_rejected(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="a duration must be"):
        duration(value)


@given(st.integers(0, 999), st.integers(0, 999), st.integers(0, 999))
def test_the_units_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    assert duration(f"{hours}h{minutes}m{seconds}s") == duration(expected)
    assert duration(expected) == expected.total_seconds()


@variants(
    ("wait", "cancel_after", "headers"),
    [
        (None, None, {}),
        (1, None, {"Prefer": "wait=1"}),
        (60, None, {"Prefer": "wait=60"}),
        (None, 5, {"Cancel-After": "5s"}),
        (None, 4.1, {"Cancel-After": "5s"}),
        (None, "1h30m", {"Cancel-After": "5400s"}),
        (None, timedelta(minutes=2), {"Cancel-After": "120s"}),
        (7, "10s", {"Prefer": "wait=7", "Cancel-After": "10s"}),
    ],
)
def test_wait_and_timeout_become_headers(
    wait: Any, cancel_after: Any, headers: dict[str, str]
) -> None:
    assert creation_headers(wait, cancel_after) == headers


@variants(
    ("wait", "cancel_after", "error", "message"),
    [
        (0, None, ValueError, "from 1 to 60"),
        (61, None, ValueError, "from 1 to 60"),
        (-1, None, ValueError, "from 1 to 60"),
        (True, None, TypeError, "wait"),
        (1.5, None, TypeError, "wait"),
        ("5", None, TypeError, "wait"),
        (None, 4, ValueError, "at least 5"),
        (None, "4s", ValueError, "at least 5"),
        (None, timedelta(0), ValueError, "at least 5"),
        (None, "soon", ValueError, "1h30m"),
        (None, True, TypeError, "duration"),
    ],
)
def test_out_of_range_headers_are_rejected(
    wait: Any, cancel_after: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        creation_headers(wait, cancel_after)


@pytest.mark.parametrize(
    ("webhook", "events"),
    [
        (None, None),
        ("https://example.com/hook", None),
        ("http://127.0.0.1:8000/hook?x=1", ["start"]),
        (None, []),
        ("https://example.com", ("start", "output", "logs", "completed")),
    ],
)
def test_a_webhook_needs_an_http_url_and_known_events(webhook: Any, events: Any) -> None:
    check_webhook(webhook, events)


@variants(
    ("webhook", "events", "error", "message"),
    [
        ("", None, ValueError, "http"),
        ("example.com/hook", None, ValueError, "http"),
        ("ftp://example.com/hook", None, ValueError, "http"),
        ("https://", None, ValueError, "http"),
        ("https:///hook", None, ValueError, "http"),
        ("https://[", None, ValueError, "http"),
        (5, None, TypeError, "webhook must be a str"),
        (None, ["started"], ValueError, "'start', 'output', 'logs' or 'completed'"),
        (None, ["start", None], TypeError, "'start', 'output', 'logs' or 'completed'"),
        (None, "start", TypeError, r"\['start'\]"),
        (None, (event for event in ["start"]), TypeError, "list of events"),
    ],
)
def test_an_invalid_webhook_is_rejected(
    webhook: Any, events: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        check_webhook(webhook, events)


@variants(
    ("cursor", "params", "query"),
    [
        (None, {"a": 1}, [("a", 1)]),
        ("c2", {}, [("cursor", "c2")]),
        ("c2", {"a": 1}, [("a", 1), ("cursor", "c2")]),
        ("c2==", {}, [("cursor", "c2==")]),
        ("http://x/v1/models?cursor=c2", {}, [("cursor", "c2")]),
        ("https://x/v1/models?cursor=a%2Fb%3D%3D&limit=", {}, [("cursor", "a/b=="), ("limit", "")]),
        ("/v1/models?cursor=c2", {}, [("cursor", "c2")]),
        ("?cursor=c2", {}, [("cursor", "c2")]),
        # the query of the URL overrides the arguments
        ("http://x/?cursor=c2&a=9", {"a": 1, "b": 2}, [("b", 2), ("cursor", "c2"), ("a", "9")]),
    ],
)
def test_a_cursor_may_be_the_url_of_a_page(
    cursor: Any, params: dict[str, Any], query: list[Any]
) -> None:
    assert page_params(cursor, params) == query


@pytest.mark.parametrize("cursor", ["", " ", 5, b"c2", ["c2"]])
def test_an_invalid_cursor_is_rejected(cursor: Any) -> None:
    with pytest.raises(ValueError if isinstance(cursor, str) else TypeError, match="cursor"):
        page_params(cursor, {})


def test_an_object_or_its_id_is_accepted() -> None:
    assert id_of("p1", Prediction) == "p1"
    assert id_of(Prediction(id="p1", status="starting"), Prediction) == "p1"
    for wrong in (None, 5, {"id": "p1"}, object(), str, Training(id="t1", status="starting")):
        with pytest.raises(TypeError, match="prediction must be a Prediction or an id, not"):
            id_of(wrong, Prediction)


def test_a_time_in_a_query_needs_a_time_zone() -> None:
    time = datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=UTC)
    assert time_param("created_after", time) == "2026-01-02T03:04:05.600000+00:00"
    there = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=-3)))
    assert time_param("created_after", there) == "2026-01-02T03:04:05-03:00"
    assert time_param("created_after", "2026-01-02") == "2026-01-02"
    assert time_param("created_after", None) is None
    with pytest.raises(ValueError, match=r"created_after.*zone"):
        time_param("created_after", datetime(2026, 1, 2))
