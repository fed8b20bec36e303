"""The cost of a request, with one and with many in flight."""

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
    Compute,
    Figures,
    Metric,
    Part,
    Target,
    by,
)

CPU = Metric("CPU per request", "µs", lambda sample: sample["cpu"] / sample["count"] * 1e6)
WALL = Metric("wall time per request", "µs", lambda sample: sample["wall"] / sample["count"] * 1e6)

PEERS = ("replicate 1.0.7", "replicate 2.0.0b4", "openai")
SYNC = "sync"
SNIFFIO = "1, with sniffio"
THREADS = "16 threads"
TLS_1, TLS_100, TLS_SYNC, HTTP2 = "TLS, 1", "TLS, 100", "TLS, sync", "HTTP/2, 100"


def cases(quick: bool) -> list[Case]:
    everyone = (OURS, BARE_HTTPX, REPLICATE_1, REPLICATE_2, OPENAI)
    scale = 0.2 if quick else 1.0
    found: list[Case] = []
    for in_flight in (1, 100) if quick else (1, 10, 100, 500):
        total = int(max(500, in_flight * 2) * scale)
        parameters = {"in_flight": in_flight, "total": total}
        found += [
            Case(str(in_flight), who, "requests", parameters=parameters)
            for who in (*everyone, BARE_AIOHTTP)
        ]
        found += [
            Case(
                str(in_flight),
                who,
                "requests",
                "aiohttp transport",
                parameters={**parameters, "transport": "aiohttp"},
            )
            for who in (OURS, BARE_HTTPX, REPLICATE_2)
        ]
    total = int(500 * scale)
    found += [Case(SYNC, who, "sync_requests", parameters={"total": total}) for who in everyone]
    found += [
        Case(THREADS, who, "threads", parameters={"count": 16, "total": int(1600 * scale)})
        for who in everyone
    ]
    found += [
        Case(
            SNIFFIO,
            evolve(who, environment=f"{who.environment}-sniffio"),
            "requests",
            parameters={"in_flight": 1, "total": total},
        )
        for who in (OURS, BARE_HTTPX)
    ]
    for setting, task, parameters, server in (
        (TLS_1, "requests", {"in_flight": 1, "total": total}, "https"),
        (TLS_100, "requests", {"in_flight": 100, "total": total}, "https"),
        (TLS_SYNC, "sync_requests", {"total": total}, "https"),
        (HTTP2, "requests", {"in_flight": 100, "total": total, "http2": True}, "http2"),
    ):
        found += [
            Case(setting, who, task, parameters=parameters, server=server)
            for who in (OURS, BARE_HTTPX)
        ]
    return [evolve(case, rounds=1 if quick else 5) for case in found]


def _to_bare(setting: str, metric: str = CPU.name) -> Compute:
    return lambda figures: figures.ratio(metric, (setting, "dashscope"), (setting, "httpx"))


def _to_peers(setting: str) -> Compute:
    return lambda figures: by(
        figures.get(CPU.name, setting, "dashscope"), figures.best(CPU.name, setting, PEERS)
    )


def _to_one(setting: str) -> Compute:
    return lambda figures: figures.ratio(CPU.name, (setting, "dashscope"), ("1", "dashscope"))


def _aiohttp(figures: Figures) -> float | None:
    return figures.ratio(
        CPU.name,
        ("100", "dashscope, aiohttp transport"),
        ("100", "replicate 2.0.0b4, aiohttp transport"),
    )


PART = Part(
    "requests",
    "Requests",
    "`predictions.get` of a prediction of 700 bytes, over and over, with so many requests in "
    "flight (async), one after another (sync) and from 16 threads (one client of ours and of "
    "the peers' for all, an `httpx.Client` for each). `openai` asks for a model instead, with the "
    "same body. `httpx` and `aiohttp` alone parse the JSON, and nothing more. `httpcore` imports "
    "`sniffio` at every lock, which costs more if `sniffio` is missing, so both are measured.",
    (CPU, WALL),
    cases,
    (
        Target("CPU at 1 in flight, to bare `httpx`", 0.80, _to_bare("1")),
        Target("CPU at 1 in flight with `sniffio`, to bare `httpx`", 0.95, _to_bare(SNIFFIO)),
        Target("CPU at 1 in flight, to the best peer", 0.80, _to_peers("1")),
        Target("CPU at 100 in flight, to our own at 1", 1.15, _to_one("100")),
        Target("CPU at 500 in flight, to our own at 1", 1.15, _to_one("500")),
        Target("CPU at 100 in flight, to the best peer", 0.5, _to_peers("100")),
        Target("CPU at 500 in flight, to the best peer", 0.3, _to_peers("500")),
        Target("CPU at 100 in flight with aiohttp, to `replicate` 2.0.0b4 with it", 0.6, _aiohttp),
        Target("CPU, sync, to bare `httpx.Client`", 1.0, _to_bare(SYNC)),
        Target("CPU, sync, to the best peer", 0.85, _to_peers(SYNC)),
        Target(
            "requests a second of 16 threads, to 16 bare `httpx.Client`s",
            0.9,
            lambda figures: figures.ratio(WALL.name, (THREADS, "httpx"), (THREADS, "dashscope")),
            at_least=True,
        ),
        Target("CPU over TLS at 1 in flight, to bare `httpx`", 1.15, _to_bare(TLS_1)),
        Target("CPU over TLS at 100 in flight, to bare `httpx`", 1.0, _to_bare(TLS_100)),
        Target("CPU over TLS, sync, to bare `httpx`", 1.10, _to_bare(TLS_SYNC)),
        Target("CPU with HTTP/2 at 100 in flight, to bare `httpx`", 1.0, _to_bare(HTTP2)),
    ),
    chart="lines",
)
