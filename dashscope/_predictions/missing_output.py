"""The parts of a finished prediction that its stream did not deliver. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from dashscope import types
from dashscope._common.json import is_array


def rest_of_output(prediction: types.Prediction, texts: Sequence[str]) -> list[str] | None:
    """Return the parts of the output that follow the received ones.

    Returns `None` if the output does not start with the received parts.
    """
    outputs, given = parts_of(prediction.output), len(texts)
    # The server may have stored less of a canceled prediction than it streamed.
    kept = given if prediction.status == "succeeded" else min(given, len(outputs))
    return outputs[given:] if _same_parts(texts[:kept], outputs[:given]) else None


def rest_of_logs(prediction: types.Prediction, text: str) -> str | None:
    """Return the logs that follow the received text, or `None` if they do not start with it."""
    logs = _lines_of(prediction.logs or "")
    return logs[len(text) :] if logs.startswith(text) else None


def parts_of(output: Any) -> list[str]:
    """Return an output as the texts of its stream events."""
    if output is None:
        return []
    parts = output if is_array(output) else [output]
    return [part if isinstance(part, str) else json.dumps(part) for part in parts]


def _same_parts(events: Sequence[str], parts: Sequence[str]) -> bool:
    """Return whether two outputs are the same. JSON is compared by value, and text by lines."""
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
    """Return a text with the single line ending of stream events."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
