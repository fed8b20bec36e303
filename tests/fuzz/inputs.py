"""The JSON of an input is sent unchanged."""

from __future__ import annotations

import json
from typing import Any

from dashscope import Client
from dashscope._common.json import decode
from dashscope._common.json import encode as written
from dashscope._files.inputs import encode
from dashscope._runtime.drive import drive

CLIENT = Client()
SEEDS = (
    b'{"prompt": "a", "n": 1, "x": [1.5, null, true, {"y": []}]}', b'{"a": 1e400}', b'{"a": NaN}',
    b'{"a": "\\ud800"}', b'{"\\u0000": "\xc3\xa4"}', b'{"a": "data:,x", "b": "/etc/passwd"}',
    b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", b'{"a": ' + b"9" * 5000 + b"}", b"[1]", b"null",
    b'{"a": -0.0, "b": 1E5, "c": 123456789012345678901234567890}',
)  # fmt: skip


def one_input(data: bytes) -> None:
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(value, dict):
        return
    try:
        tree = drive(encode(value, CLIENT._async._api.runtime, _refuse_upload))
        sent = written(tree)
    except ValueError as error:
        assert any(word in str(error) for word in ("JSON", "surrogate", "digits", "utf-8"))
        return
    assert repr(decode(sent)) == repr(value)


async def _refuse_upload(file: object) -> str:
    raise AssertionError("text is never a file")
