"""`Retry-After` in a header or in a body: seconds, or nothing."""

from __future__ import annotations

import math

from dashscope._api.retry import parse_retry_after, retry_after_of
from dashscope._common.json import object_in

NOW = "Fri, 15 Jan 2027 08:00:00 GMT"
SEEDS = (
    b"5", b" 5.5 ", b"-5", b"1e3", b"", b"nan", b"inf", b"0x10", "٣".encode(), b"9" * 400, b"5,6",
    b"Wed, 21 Oct 2015 07:28:00 GMT", b"Wed, 21 Oct 2115 07:28:00 -0000", b"21 Oct 15 07:28",
    b"Mon, 01 Jan 0001 00:00:00 +2359", b"Fri, 31 Dec 9999 23:59:59 -2359", b"Mon", b", , , :::",
    b"1 Jan 2020 00:00:00 +99999999", b"0 0 0 0:0:0 0", b'{"retry_after": 7}',
    b'{"retry_after": "Wed, 21 Oct 2115 07:28:00 GMT"}', b'{"retry_after": true}',
    b'{"retry_after": -1e999}', b'{"retry_after": ' + b"9" * 4000 + b"}", b"T" * 100 + b":",
)  # fmt: skip


def one_input(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for seconds in (
        parse_retry_after(text, date=NOW),
        retry_after_of({"retry-after": text, "date": text}, None),
        retry_after_of({}, object_in(text)),
    ):
        assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
