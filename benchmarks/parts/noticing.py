"""How soon `run` notices that a prediction has finished, and its number of requests."""

from __future__ import annotations

import statistics

from attrs import evolve

from benchmarks.model import (
    NODE,
    OURS,
    REPLICATE_1,
    REPLICATE_2,
    Case,
    Compute,
    Metric,
    Part,
    Target,
)

DELAY = Metric(
    "delay (mean)",
    "ms",
    lambda sample: statistics.fmean(delay for delay, _ in sample["runs"]) * 1e3,
)
REQUESTS = Metric(
    "requests a run",
    "",
    lambda sample: statistics.fmean(requests for _, requests in sample["runs"]),
    digits=1,
)

RUNS = 40
FIXED_POLL = 0.5


def cases(quick: bool) -> list[Case]:
    found: list[Case] = []
    for seconds in (0.2, 1) if quick else (0.2, 1, 3, 10, 60):
        # Spread evenly by ten percent, with the same values for every contender.
        lengths = [round(seconds * (0.9 + 0.2 * number / (RUNS - 1)), 4) for number in range(RUNS)]
        base = {"seconds": lengths}
        setting = f"{seconds} s"
        ours = {**base, "stream": False}
        of_setting = [
            Case(setting, OURS, "noticing", parameters=ours),
            Case(setting, OURS, "noticing", "urls.stream", {**ours, "stream": True}),
            Case(setting, OURS, "noticing", "wait=60", {**ours, "wait": 60}),
            Case(setting, REPLICATE_1, "noticing", "polling", {**base, "wait": False}),
            Case(setting, REPLICATE_1, "noticing", "waiting", base),
            Case(setting, REPLICATE_2, "noticing", "polling", {**base, "wait": False}),
            Case(setting, REPLICATE_2, "noticing", "waiting", base),
            Case(setting, NODE, "noticing", "polling", {**base, "mode": "poll"}),
            Case(setting, NODE, "noticing", "waiting", {**base, "mode": "block"}),
        ]
        rounds = 1 if quick or seconds > 10 else 2
        found += [evolve(case, rounds=rounds, is_light=seconds >= 10) for case in of_setting]
    return found


def _delay(setting: str, row: str = "dashscope") -> Compute:
    return lambda figures: figures.get(DELAY.name, setting, row)


def _requests(seconds: float, row: str) -> Compute:
    return lambda figures: figures.get(REQUESTS.name, f"{seconds} s", row)


STREAMED = "dashscope, urls.stream"


PART = Part(
    "noticing",
    "Noticing the end",
    f"{RUNS} runs at once of models that take so long, give or take a tenth: how long after the "
    "server finished `run` returned, and how many requests it made. *polling*: as the peer does "
    "where it does not let the server hold the answer; *waiting*: the server holds it (`wait=60`), "
    "which keeps a connection busy and leaves the prediction's id unknown until then. "
    "*urls.stream*: the prediction names a stream of events.",
    (DELAY, REQUESTS),
    cases,
    (
        Target("delay at 0.2 s, polling, ms", 100, _delay("0.2 s")),
        Target("delay at 1 s, polling, ms", 100, _delay("1 s")),
        Target("delay at 3 s, polling, ms", 200, _delay("3 s")),
        Target("delay at 10 s, polling, ms", 280, _delay("10 s")),
        Target("delay at 60 s, polling, ms", 280, _delay("60 s")),
        *(
            # Three requests up to 3 s, then one more every five seconds.
            Target(f"requests at {seconds} s with urls.stream", most, _requests(seconds, STREAMED))
            for seconds, most in ((0.2, 3), (1, 3), (3, 3), (10, 5), (60, 15))
        ),
        Target("requests at 10 s, polling", 42, _requests(10, "dashscope")),
        Target("requests at 60 s, polling", 145, _requests(60, "dashscope")),
        *(
            Target(
                f"delay at {setting} with urls.stream, ms",
                20,
                _delay(setting, STREAMED),
            )
            for setting in ("0.2 s", "1 s", "3 s", "10 s", "60 s")
        ),
    ),
    chart="lines",
)
