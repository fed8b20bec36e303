"""What a finished prediction has and its stream did not bring. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dashscope import types
from dashscope._common.json import is_array


def rest_of_output(prediction: types.Prediction, texts: Sequence[str]) -> list[str] | None:
    """The parts of the output after those that came, `None` where these are not its beginning."""
    outputs, given = parts_of(prediction.output), len(texts)
    # Of what was stopped, the server may have kept less than it streamed.
    kept = given if prediction.status == "succeeded" else min(given, len(outputs))
    return outputs[given:] if _same_parts(texts[:kept], outputs[:given]) else None


def rest_of_logs(prediction: types.Prediction, text: str) -> str | None:
    """The logs after the text that came, `None` where it is not their beginning."""
    logs = _lines_of(prediction.logs or "")
    return logs[len(text) :] if logs.startswith(text) else None


def parts_of(output: Any) -> list[str]:
    """An output as the events of a stream carry it."""
    if output is None:
        return []
    parts = output if is_array(output) else [output]
    return [part if isinstance(part, str) else json.dumps(part) for part in parts]


def _same_parts(events: Sequence[str], parts: Sequence[str]) -> bool:
    """Are these the same parts? JSON counts by its value, and a text by its lines."""
    return len(events) == len(parts) and all(
        event == part or _value(event) == _value(part)
        for event, part in zip(events, parts, strict=True)
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return _lines_of(text)


def _lines_of(text: str) -> str:
    """A text as events carry it, which have one line ending."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
