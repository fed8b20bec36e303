"""The cost grows linearly with the work."""

from __future__ import annotations

from attrs import evolve

from benchmarks.model import (
    BARE_AIOHTTP,
    BARE_HTTPX,
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

CPU = Metric("CPU per call", "ms", lambda sample: sample["cpu"] / sample["count"] * 1e3, digits=2)

SIZES = {"1 kB": 1_000, "100 kB": 100_000, "1 MB": 1_000_000, "10 MB": 10_000_000,
         "50 MB": 50_000_000}  # fmt: skip


def cases(quick: bool) -> list[Case]:
    found: list[Case] = []
    for items in (10, 100) if quick else (10, 100, 1000):
        parameters = {"items": items, "count": max(5, (200 if quick else 1000) // items)}
        found += [
            Case(f"page of {items}", who, "page", parameters=parameters)
            for who in (OURS, BARE_HTTPX, REPLICATE_1, REPLICATE_2)
        ]
    for name, size in list(SIZES.items())[: 2 if quick else None]:
        parameters = {"size": size, "count": max(1, min(10 if quick else 50, 20_000_000 // size))}
        found += [
            Case(f"output of {name}", who, "output", parameters=parameters)
            for who in (OURS, BARE_HTTPX, REPLICATE_1, REPLICATE_2)
        ]
    for in_flight in (1, 200) if quick else (1, 1000, 2000, 5000):
        parameters = {"in_flight": in_flight, "total": max(200 if quick else 500, in_flight * 2)}
        found += [
            Case(f"{in_flight} in flight", who, "requests", parameters=parameters)
            for who in (OURS, BARE_AIOHTTP)
        ]
    return [evolve(case, rounds=1 if quick else 3) for case in found]


def _growth(smaller: str, larger: str, times: float) -> Compute:
    """Return the growth of the cost per unit of work, for `times` as much work."""
    return lambda figures: by(
        by(
            figures.get(CPU.name, larger, "dashscope"),
            figures.get(CPU.name, smaller, "dashscope"),
        ),
        times,
    )


PART = Part(
    "scale",
    "Growth",
    "Pages of more items, outputs of more JSON, more requests in flight: the cost of one call.",
    (CPU,),
    cases,
    (
        Target("a page of 1000, to ten of 100", 1.2, _growth("page of 100", "page of 1000", 10)),
        Target(
            "an output of 50 MB, to five of 10 MB",
            1.2,
            _growth("output of 10 MB", "output of 50 MB", 5),
        ),
        Target(
            "a request at 5000 in flight, to 1", 1.3, _growth("1 in flight", "5000 in flight", 1)
        ),
    ),
)
