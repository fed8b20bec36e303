"""The speed of decoding streams, and the latency of events."""

from __future__ import annotations

import statistics

from attrs import evolve

from benchmarks.model import (
    BARE_HTTPX,
    OPENAI,
    OURS,
    REPLICATE_1,
    REPLICATE_2,
    Case,
    Compute,
    Metric,
    Part,
    Target,
    by,
)

SPEED = Metric(
    "events decoded per second of CPU",
    "thousand/s",
    lambda sample: sample["count"] / sample["cpu"] / 1e3,
    more_is_better=True,
)
WALL = Metric(
    "events decoded per second",
    "thousand/s",
    lambda sample: sample["count"] / sample["wall"] / 1e3,
    more_is_better=True,
)
FIRST = Metric("delay of the first event", "ms", lambda sample: sample["first"] * 1e3, digits=2)
LATER = Metric(
    "delay of the other events (median)",
    "ms",
    lambda sample: statistics.median(sample["delays"]) * 1e3,
    digits=2,
)

TEXT = "text"
TEXT_SINGLY = "text, an event a chunk"
JSON = "JSON"
JSON_SINGLY = "JSON, an event a chunk"
STREAMS = {
    TEXT: "tokens",
    TEXT_SINGLY: "tokens.singly",
    JSON: "chunks",
    JSON_SINGLY: "chunks.singly",
}


def cases(quick: bool) -> list[Case]:
    found: list[Case] = []
    for setting, stream in STREAMS.items():
        parameters = {"stream": f"{stream}-{10_000 if quick else 50_000}"}
        for who in (OURS, BARE_HTTPX, REPLICATE_1):
            found.append(Case(setting, who, "events", "async", parameters))
            found.append(Case(setting, who, "sync_events", "sync", parameters))
        found.append(Case(setting, REPLICATE_2, "events", "its decoder, async", parameters))
        found.append(Case(setting, REPLICATE_2, "sync_events", "its decoder", parameters))
        if setting in (JSON, JSON_SINGLY):
            fewer = {"stream": f"{stream}-3000"}
            found.append(Case(setting, OPENAI, "events", "async", fewer))
            found.append(Case(setting, OPENAI, "sync_events", "sync", fewer))
        found.append(Case(setting, OPENAI, "decoded", "its decoder, async", parameters))
    return [evolve(case, rounds=1 if quick else 3) for case in found]


def latency_cases(quick: bool) -> list[Case]:
    found = [Case("async", who, "latency") for who in (OURS, BARE_HTTPX, REPLICATE_1, OPENAI)]
    found.append(Case("async", REPLICATE_2, "latency", "its decoder"))
    found.append(Case("sync", OURS, "sync_latency"))
    return [evolve(case, rounds=2 if quick else 7) for case in found]


def _to_bare(setting: str, flavor: str) -> Compute:
    return _to(setting, f"httpx, {flavor}", flavor)


def _to(setting: str, row: str, flavor: str = "async") -> Compute:
    """Return the CPU time per event relative to another contender: the inverse of the speeds."""
    return lambda figures: by(
        figures.get(SPEED.name, setting, row),
        figures.get(SPEED.name, setting, f"dashscope, {flavor}"),
    )


PART = Part(
    "streams",
    "Streams",
    "Taking all events of the same stream, sent at once: words of text, or the JSON of a chat "
    "(which is what `openai` takes), in full chunks and in a chunk for each event. `httpx` stands "
    "for bare `httpx-sse`. `replicate` 2.0.0b4 shows its users no stream (it asks for the "
    "prediction again and again): its decoder is measured alone, as is that of `openai`, beside "
    "its whole.",
    (SPEED, WALL),
    cases,
    (
        *(
            Target(
                f"{setting}, {flavor}, CPU to bare `httpx-sse`",
                1.25 if setting in (TEXT_SINGLY, JSON_SINGLY) else 1.6,
                _to_bare(setting, flavor),
            )
            for setting in STREAMS
            for flavor in ("async", "sync")
        ),
        Target("text, CPU to `replicate` 1.0.7", 0.5, _to(TEXT, "replicate 1.0.7, async")),
        Target(
            "text, CPU to the decoder of `replicate` 2.0.0b4",
            1.0,
            _to(TEXT, "replicate 2.0.0b4, its decoder, async"),
        ),
        Target("JSON, CPU to `openai`", 0.1, _to(JSON, "openai, async")),
        Target(
            "JSON, CPU to the decoder of `openai`", 1.0, _to(JSON, "openai, its decoder, async")
        ),
    ),
    chart="bars",
)

LATENCY = Part(
    "latency",
    "Delay of an event",
    "From the moment at which the server sends an event to that at which the user has it (100 "
    "events, 5 ms apart, on a connection of its own).",
    (FIRST, LATER),
    latency_cases,
    tuple(
        Target(
            f"first event, {flavor}, ms",
            2.0,
            lambda figures, flavor=flavor: figures.get(FIRST.name, flavor, "dashscope"),
        )
        for flavor in ("async", "sync")
    ),
)
