"""Times have a time zone, and can be compared, hashed, pickled and written. Others are rejected."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

from dashscope.types._structure import parse_time

SEEDS = (
    b"2026-01-02T03:04:05.123456789Z",
    b"2026-01-02T03:04:60+05:30",
    b"2026-01-02",
    b"20260102T030405Z",
    b"2026-W01-1T00:00:00Z",
    b"2026-01-02T24:00:00Z",
    b"0001-01-01T00:00:00+23:59",
    b"9999-12-31T23:59:99Z",
    b"9999-12-31T23:59:59-23:59",
    b"2026-01-02T03:04:05+00:00:00.000001",
    "２０２６-01-02T03:04:05Z".encode(),
    b"2026-01-02 03:04:05",
    b"2026-01-02T03:04:05,5Z",
    b"",
    b"now",
)


def one_input(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        time = parse_time(text)
    except ValueError:
        return
    assert time.utcoffset() is not None
    assert time == time
    assert pickle.loads(pickle.dumps(time)) == time
    hash(time)
    assert isinstance(time - datetime(2026, 1, 1, tzinfo=UTC) < time - time, bool)
    assert parse_time(time.isoformat()) == time
