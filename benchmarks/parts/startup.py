"""The time from the start of a script to its first response."""

from __future__ import annotations

from benchmarks.model import Case, Compute, Contender, Metric, Part, Target

IMPORT = Metric("the import alone", "ms", lambda sample: sample["import"] * 1e3)
WALL = Metric("import, client and first request", "ms", lambda sample: sample["wall"] * 1e3)
CPU = Metric("CPU of all three", "ms", lambda sample: sample["cpu"] * 1e3)

SETTING = "fresh process"


def cases(quick: bool) -> list[Case]:
    return [
        Case(
            SETTING,
            Contender(label, environment, "start.py", label.startswith("dashscope")),
            task,
            rounds=4 if quick else 15,
        )
        for label, environment, task in (
            ("dashscope", "plain", "dashscope"),
            ("dashscope, async", "plain", "dashscope_async"),
            ("httpx", "bare", "httpx"),
            ("httpx, async", "bare", "httpx_async"),
            ("replicate 1.0.7", "replicate-1", "replicate_1"),
            ("replicate 2.0.0b4", "replicate-2", "replicate_2"),
            ("openai", "openai", "openai"),
        )
    ]


def _to(metric: Metric, peer: str, ours: str = "dashscope") -> Compute:
    return lambda figures: figures.ratio(metric.name, (SETTING, ours), (SETTING, peer))


PART = Part(
    "startup",
    "Startup",
    "In a fresh process: the import, a client, and its first `predictions.get` (wall time; the "
    "interpreter's own start is not counted).",
    (WALL, IMPORT, CPU),
    cases,
    (
        Target("CPU of all three, to bare `httpx`", 1.5, _to(CPU, "httpx")),
        Target(
            "CPU of all three, async, to bare `httpx`",
            1.4,
            _to(CPU, "httpx, async", "dashscope, async"),
        ),
        Target("CPU of all three, to `replicate` 1.0.7", 1.0, _to(CPU, "replicate 1.0.7")),
        Target(
            "CPU of all three, async, to `replicate` 1.0.7",
            1.0,
            _to(CPU, "replicate 1.0.7", "dashscope, async"),
        ),
        Target("CPU of all three, to `replicate` 2.0.0b4", 0.5, _to(CPU, "replicate 2.0.0b4")),
        Target("CPU of all three, to `openai`", 0.3, _to(CPU, "openai")),
        Target("the import alone, to `replicate` 1.0.7", 0.9, _to(IMPORT, "replicate 1.0.7")),
    ),
    chart="bars",
)
