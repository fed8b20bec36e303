"""Large JSON is read without the garbage collector, which is left as it was found."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dashscope._common import json as _json

LARGE = json.dumps([{"number": [number]} for number in range(50_000)]).encode()
assert len(LARGE) > _json.LARGE


@pytest.fixture(params=["on", "off"])
def collector(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Is the program's garbage collector on?"""
    is_on = request.param == "on"
    if not is_on:
        gc.disable()
    yield is_on
    gc.enable()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (LARGE, None),
        (LARGE.decode(), None),
        (LARGE[:-1], ValueError),
        (b"[" * 200_000, RecursionError),
        (LARGE[:-1] + b", NaN]", ValueError),
    ],
    ids=["bytes", "text", "broken", "too deep", "NaN"],
)
def test_the_collector_is_as_it_was(
    collector: bool, text: str | bytes, error: type[Exception] | None
) -> None:
    if error is None:
        assert _json.decode(text) == json.loads(text)
    else:
        with pytest.raises(error):
            _json.decode(text)
    assert gc.isenabled() == collector


def test_it_does_not_run_meanwhile() -> None:
    runs: list[str] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        runs.append(phase)

    gc.callbacks.append(note)
    try:
        json.loads(LARGE)
        assert runs
        gc.collect()
        runs.clear()
        value = _json.decode(LARGE)
        while_decoding = len(runs)
    finally:
        gc.callbacks.remove(note)
    assert len(value) == 50_000
    assert while_decoding <= 2  # one as it is switched on again


def test_of_several_threads_the_last_one_switches_it_on() -> None:
    with ThreadPoolExecutor(8) as pool:
        for value in pool.map(_json.decode, [LARGE] * 40):
            assert len(value) == 50_000
    assert gc.isenabled()
    assert not _json._under_way
