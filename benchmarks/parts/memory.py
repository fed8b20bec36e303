"""The memory of a client."""

from __future__ import annotations

from attrs import evolve

from benchmarks.model import (
    BARE_AIOHTTP,
    BARE_HTTPX,
    OPENAI,
    OURS,
    REPLICATE_1,
    REPLICATE_2,
    Case,
    Metric,
    Part,
    Target,
    by,
)

REST = Metric("a client at rest", "MB", lambda sample: sample["rest"] / 1e6, digits=1)
FLIGHT = Metric("500 requests in flight", "MB", lambda sample: sample["growth"] / 1e6, digits=1)
PAGE = Metric(
    "a page of 100 predictions, kept",
    "kB",
    lambda sample: sample["kept"] / sample["count"] / 1e3,
)
PAGE_CPU = Metric(
    "CPU of a page of 100 predictions", "ms", lambda sample: sample["cpu"] / sample["count"] * 1e3,
    digits=2,
)  # fmt: skip

CLIENT, PAGES = "a client", "pages of 100"

HELD = {"in_flight": 500, "hold": 3}


def cases(quick: bool) -> list[Case]:
    found = [
        Case(CLIENT, who, "held", parameters={"in_flight": 100, "hold": 1} if quick else HELD)
        for who in (OURS, BARE_HTTPX, BARE_AIOHTTP, REPLICATE_1, REPLICATE_2, OPENAI)
    ]
    parameters = {"items": 100, "count": 20 if quick else 100}
    found += [
        Case(PAGES, who, "page", parameters=parameters) for who in (OURS, REPLICATE_1, REPLICATE_2)
    ]
    return [evolve(case, rounds=1 if quick else 3) for case in found]


PART = Part(
    "memory",
    "Memory",
    "By how much the process grows: with a client and its first answer (beyond the imports), with "
    "500 requests that the server holds (100 in a quick run) at the largest, and for each page of "
    "100 predictions that is kept.",
    (REST, FLIGHT, PAGE, PAGE_CPU),
    cases,
    (
        Target(
            "CPU of a page of 100 predictions, to the best peer",
            1.0,
            lambda figures: by(
                figures.get(PAGE_CPU.name, PAGES, "dashscope"),
                figures.best(PAGE_CPU.name, PAGES, ("replicate 1.0.7", "replicate 2.0.0b4")),
            ),
        ),
    ),
)
