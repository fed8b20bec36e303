"""An answer with an error status becomes an error of ours: short, portable, without the token.

The first byte makes the status; header lines follow up to an empty line, then the body.
"""

from __future__ import annotations

import math
import pickle

from dashscope import APIStatusError, Client, Headers, Response
from dashscope._errors import status_error_type
from tests.fuzz.scripted import TOKEN

LONGEST = 3000
CLIENT = Client(TOKEN, base_url="https://api.example.com/v1")
SEEDS = (
    b"\x04retry-after: 5\n\n" + b'{"title": "Not Found", "detail": "no such model", "status": 404}',
    b'\x1d\n{"detail": "throttled", "retry_after": 7}',
    b"\xf4retry-after: Wed, 21 Oct 2015 07:28:00 GMT\nx-request-id: r\n\n<html>r8_fuzzed_token",
    b'\x04x-request-id: r8_fuzzed_token\n\n{"detail": ["r8_fuzzed_token"], "title": null}',
    b"\x00retry-after: " + b"9" * 400 + b"\n\n\xff\xfe",
    b'\x1d\n{"retry_after": 1e999, "detail": "' + b"x" * 5000 + b'"}',
    b'\x1d\n{"retry_after": ' + b"9" * 400 + b"}",
)


def one_input(data: bytes) -> None:
    status = 300 + (data[0] if data else 0)
    head, _, body = data[1:].partition(b"\n\n")
    lines = [line.partition(":") for line in head.decode("latin-1").split("\n")]
    headers = Headers({name.strip(): value.strip() for name, _, value in lines})
    response = Response(status=status, headers=headers, content=body)
    error = CLIENT._async._api.status_error("GET https://api.example.com/v1/x", response)
    assert isinstance(error, APIStatusError)
    assert type(error) is status_error_type(status)
    assert len(str(error)) < LONGEST
    assert error.retry_after is None or (
        error.retry_after >= 0 and math.isfinite(error.retry_after)
    )
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.body, again.headers) == (str(error), error.body, error.headers)
    for text in (str(error), repr(error), error.body, error.detail or "", repr(error.headers)):
        assert TOKEN not in text
