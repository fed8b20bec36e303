"""`cancel_after`: whole seconds, rounded up, or a clear error."""

from __future__ import annotations

import math
import re
import struct
from datetime import timedelta

from dashscope._common.validation import LARGEST_COUNT
from dashscope._predictions.create import creation_headers, duration

SEEDS = (
    b"\x001h30m45s", b"\x0090", b"\x005m", b"\x00", b"\x00s", b"\x00hms", b"\x001h1h", b"\x00 5s",
    b"\x00\xd9\xa3s", b"\x00-5s", b"\x005.5s", b"\x001m30", b"\x00" + b"9" * 10 + b"s",
    b"\x01" + struct.pack("<d", 90.5), b"\x01" + struct.pack("<d", math.inf),
    b"\x01" + struct.pack("<d", 1e300), b"\x01" + struct.pack("<d", -0.0),
    b"\x02" + struct.pack("<q", 90_500_000),
)  # fmt: skip


def one_input(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    value: str | float | timedelta
    exact: float | None = None
    if kind == b"\x01" and len(rest) >= 8:
        (value,) = struct.unpack_from("<d", rest)
        exact = value
    elif kind == b"\x02" and len(rest) >= 8:
        (microseconds,) = struct.unpack_from("<q", rest)
        value = timedelta(microseconds=microseconds)
        exact = value.total_seconds()
    else:
        value = rest.decode("utf-8", "replace")
    try:
        seconds = duration(value)
    except ValueError as error:
        assert "duration" in str(error)
        assert exact is None or not 0 <= exact <= LARGEST_COUNT
        return
    assert isinstance(seconds, int)
    if exact is not None:
        assert seconds - 1 < exact <= seconds
    else:
        parts = re.findall(r"(\d+)([hms]?)", str(value))
        units = {"h": 3600, "m": 60, "s": 1, "": 1}
        assert seconds == sum(int(number) * units[unit] for number, unit in parts)
        assert "".join(number + unit for number, unit in parts) == value
    try:
        headers = creation_headers(None, value)
    except ValueError:
        assert seconds < 5
    else:
        assert re.fullmatch(r"[0-9]+s", headers["Cancel-After"])
