"""The bodies of the server's responses: realistic, and the same in each run."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

CREATED_AT = "2026-01-31T12:00:00.123456Z"
WORDS = ("the ", "quick ", "brown ", "fox ", "jumps ", "over ", "a ", "lazy ", "dog ", "and ")


def prediction(
    id: str,
    status: str,
    *,
    origin: str,
    input: dict[str, Any],
    output: Any = None,
    stream: str | None = None,
) -> dict[str, Any]:
    """Return a prediction in the format of the API."""
    urls = {
        "get": f"{origin}/v1/predictions/{id}",
        "cancel": f"{origin}/v1/predictions/{id}/cancel",
        "web": f"{origin}/p/{id}",
    }
    if stream is not None:
        urls["stream"] = stream
    state: dict[str, Any] = {
        "id": id,
        "model": "bench/model",
        "version": "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
        "input": input,
        "logs": "",
        "output": output,
        "data_removed": False,
        "error": None,
        "source": "api",
        "status": status,
        "created_at": CREATED_AT,
        "urls": urls,
    }
    if status == "succeeded":
        state["started_at"] = "2026-01-31T12:00:00.223456Z"
        state["completed_at"] = "2026-01-31T12:00:03.123456Z"
        state["metrics"] = {"predict_time": 2.9}
    return state


def _example(origin: str, id: str) -> dict[str, Any]:
    return prediction(
        id,
        "succeeded",
        origin=origin,
        input={"text": "Alice"},
        output="hello Alice",
    )


@cache
def fixed(origin: str, id: str = "fixed") -> bytes:
    """Return a prediction of 700 bytes."""
    state = _example(origin, id)
    state["logs"] = "." * (700 - len(json.dumps(state)))
    return json.dumps(state).encode()


@cache
def page(origin: str, items: int) -> bytes:
    """Return the last page of a list."""
    results = [_example(origin, f"gm3qorzdhgbfurvjtvhg6{number:05d}") for number in range(items)]
    return json.dumps({"previous": None, "next": None, "results": results}).encode()


@cache
def large(origin: str, size: int) -> bytes:
    """Return a prediction with an output of about `size` bytes of JSON."""
    row = {"label": "cat", "score": 0.98765, "box": [12, 34, 56, 78]}
    state = _example(origin, f"output-{size}")
    state["output"] = [row] * max(1, size // len(json.dumps(row)))
    return json.dumps(state).encode()


def file(origin: str, number: int, size: int) -> dict[str, Any]:
    """Return a file in the format of the API."""
    id = f"f{number}"
    return {
        "id": id,
        "name": "file",
        "content_type": "application/octet-stream",
        "size": size,
        "etag": id,
        "checksums": {"sha256": "0" * 64, "md5": "0" * 32},
        "metadata": {},
        "created_at": CREATED_AT,
        "expires_at": "2026-02-01T12:00:00.123456Z",
        "urls": {"get": f"{origin}/v1/files/{id}"},
    }


def _chunk(text: str) -> bytes:
    """Return a chunk of a chat in JSON, the only data that all contenders accept."""
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1769860800,
        "model": "bench",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}],
    }
    return json.dumps(chunk).encode()


def event(kind: str, number: int) -> bytes:
    """Return an event: a word of `tokens`, or a chunk of a chat in `chunks`."""
    word = WORDS[number % len(WORDS)]
    data = _chunk(word) if kind.startswith("chunks") else word.encode()
    return b"event: output\nid: %d:0\ndata: %b\n\n" % (number, data)


def timed_event(number: int, moment: float) -> bytes:
    """Return an event that contains its time of sending."""
    return b"event: output\nid: %d:0\ndata: %b\n\n" % (number, _chunk(repr(moment)))


def last_event(kind: str) -> bytes:
    """Return the end of a stream. Chat clients need a special one."""
    done = b"event: done\nid: end\ndata: {}\n\n"
    return done + (b"data: [DONE]\n\n" if kind.startswith("chunks") else b"")
