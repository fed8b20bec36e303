"""Every harness passes with its seeds, with mutated seeds, and with random bytes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import NAMES
from tests.variants import variants


def harness(name: str) -> Any:
    return importlib.import_module(f"tests.fuzz.{name}")


SEEDS = [(name, seed) for name in NAMES for seed in harness(name).SEEDS]


@variants(
    ("name", "seed"), SEEDS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(SEEDS)]
)
def test_seeds_pass(name: str, seed: bytes) -> None:
    harness(name).one_input(seed)


@st.composite
def changed(draw: Callable[..., Any], seeds: tuple[bytes, ...]) -> bytes:
    """Return a seed with a piece removed, moved or replaced."""
    seed, other = draw(st.sampled_from(seeds)), draw(st.sampled_from(seeds))
    start, end = sorted(draw(st.tuples(st.integers(0, len(seed)), st.integers(0, len(seed)))))
    piece = draw(
        st.binary(max_size=8)
        | st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass"))
        | st.integers(0, len(other)).map(lambda at: other[at : at + 20])
    )
    return seed[:start] + piece + seed[end:]


def try_out(name: str, examples: int) -> None:
    module = harness(name)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.binary(max_size=200) | changed(module.SEEDS) | changed(module.SEEDS))
    def run(data: bytes) -> None:
        module.one_input(data)

    run()


@variants("name", NAMES)
def test_mutated_seeds_and_random_bytes_pass(name: str) -> None:
    try_out(name, 15)


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_many_random_inputs_pass(name: str) -> None:
    try_out(name, 5_000)
