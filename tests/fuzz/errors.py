"""Any error response becomes a short `APIError` that pickles and has no token.

The first byte selects the status. Header lines follow up to an empty line, then the body.
"""

from __future__ import annotations

import math
import pickle
import re

import httpx
import pytest

from dashscope import APIError, APIStatusError
from dashscope._errors import status_error_type
from tests.fuzz.scripted import TOKEN, client_of

LONGEST = 3000
SEEDS = (
    b"\x04retry-after: 5\n\n" + b'{"title": "Not Found", "detail": "no such model", "status": 404}',
    b'\x1d\n{"detail": "throttled", "retry_after": 7}',
    b"\xf4retry-after: Wed, 21 Oct 2015 07:28:00 GMT\nx-request-id: r\n\n<html>r8_fuzzed_token",
    b'\x04x-request-id: r8_fuzzed_token\n\n{"detail": ["r8_fuzzed_token"], "title": null}',
    b"\x00retry-after: " + b"9" * 400 + b"\n\n\xff\xfe",
    b'\x1d\n{"retry_after": 1e999, "detail": "' + b"x" * 5000 + b'"}',
    b'\x1d\n{"retry_after": ' + b"9" * 400 + b"}",
    b"\x02location: https://[r8_fuzzed_token\n\n",
    b"\x02location: //xn--\n\n",
    b"\x02location: ftp:x\n\n",
    b"\x02location://\xc2r8_fuzzed_token",
    b"\x02location: \xff\xfe\n\n",
)


def one_input(data: bytes) -> None:
    status = 300 + (data[0] if data else 0)
    head, _, body = data[1:].partition(b"\n\n")
    headers = [
        (name.strip(), value.strip())
        for name, _, value in (line.partition(b":") for line in head.split(b"\n"))
        # h11 guarantees this: a name and a value on one line, and a body.
        if re.fullmatch(rb"[!-9;-~]+", name.strip()) and name.strip().lower() != b"content-encoding"
    ]
    client = client_of(lambda _: httpx.Response(status, headers=headers, content=body))
    with pytest.raises(APIError) as caught:
        client.request("GET", "/x")
    error = caught.value
    if not isinstance(error, APIStatusError):
        # httpx parses a redirect even if it does not follow it.
        assert 300 <= status < 400
        assert any(name.lower() == b"location" for name, _ in headers)
        assert TOKEN not in str(error)
        return
    assert type(error) is status_error_type(status)
    assert len(str(error)) < LONGEST + len(error.request_id or "")
    assert error.retry_after is None or (
        error.retry_after >= 0 and math.isfinite(error.retry_after)
    )
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.body, again.headers) == (str(error), error.body, error.headers)
    for text in (str(error), repr(error), error.body, error.detail or "", repr(error.headers)):
        assert TOKEN not in text
