"""JSON is decoded strictly: values that only Python accepts are rejected."""

from __future__ import annotations

import json

import pytest

from dashscope._common.json import decode

TEXT = json.dumps([{"number": [number]} for number in range(1000)])


def test_decodes_text_and_bytes() -> None:
    assert decode(TEXT) == decode(TEXT.encode()) == json.loads(TEXT)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (TEXT[:-1], ValueError),
        (TEXT[:-1] + ", NaN]", ValueError),
        ("[-Infinity]", ValueError),
        ("[" * 200_000, RecursionError),
    ],
    ids=["cut off", "NaN", "infinity", "nested too deeply"],
)
def test_rejects_invalid_json(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode(text)
