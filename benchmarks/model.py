"""What is measured, of whom: the values that parts are made of, and reports from."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

Sample = Mapping[str, Any]
"""What one run of a contender's script printed."""


@frozen
class Contender:
    """Who is measured.

    Attributes:
        label: the name in tables.
        environment: the environment its script runs in.
        script: the script, in `contenders/`.
        is_ours: whether it is ours.
    """

    label: str
    environment: str
    script: str
    is_ours: bool = False


BARE_HTTPX = Contender("httpx", "bare", "bare_httpx.py")
BARE_AIOHTTP = Contender("aiohttp", "bare", "bare_aiohttp.py")
OURS = Contender("dashscope", "ours", "dashscope_client.py", is_ours=True)
REPLICATE_1 = Contender("replicate 1.0.7", "replicate-1", "replicate_1.py")
REPLICATE_2 = Contender("replicate 2.0.0b4", "replicate-2", "replicate_2.py")
OPENAI = Contender("openai", "openai", "openai_client.py")
NODE = Contender("replicate 1.4.0 (node)", "node", "replicate_node.mjs")


@frozen
class Metric:
    """A figure that is read from a sample.

    Attributes:
        name: what it is.
        unit: its unit.
        read: gets it from a sample.
        digits: digits after the point.
        more_is_better: else less is.
    """

    name: str
    unit: str
    read: Callable[[Sample], float] = field(eq=False)
    digits: int = 0
    more_is_better: bool = False


@frozen
class Case:
    """One contender in one setting.

    Attributes:
        setting: the column of the table, such as `100 in flight`.
        contender: who.
        task: the function of its script.
        variant: how the contender is used here, where there are several ways.
        parameters: the function's arguments, beside the server's address.
        server: which of the server's addresses: `http`, `https` or `http2`.
        rounds: how often it is measured.
        is_light: whether it leaves the machine idle, and several may run at once.
    """

    setting: str
    contender: Contender
    task: str
    variant: str = ""
    parameters: Mapping[str, Any] = field(factory=dict[str, Any])
    server: str = "http"
    rounds: int = 5
    is_light: bool = False

    @property
    def row(self) -> str:
        """The row of the table."""
        return self.contender.label + (f", {self.variant}" if self.variant else "")


@frozen
class Target:
    """What is to be reached, in ratios of medians.

    Attributes:
        text: what.
        limit: the ratio, or figure, to stay under, or over.
        value: computes it from the figures; `None` where something is missing.
        at_least: whether it is to stay over.
    """

    text: str
    limit: float
    value: Compute
    at_least: bool = False


@frozen
class Part:
    """A part of the benchmarks.

    Attributes:
        name: its name on the command line.
        title: its heading.
        about: what is measured, in a sentence or three.
        metrics: the figures, a table each.
        cases: makes its cases, for a quick run or a full one.
        targets: what is to be reached.
        chart: how it is drawn, `lines` or `bars`, by the first metric.
    """

    name: str
    title: str
    about: str
    metrics: tuple[Metric, ...]
    cases: Callable[[bool], list[Case]]
    targets: tuple[Target, ...] = ()
    chart: str = ""


@frozen
class Measured:
    """A case's samples, by metric, and how it failed where it did."""

    setting: str
    row: str
    is_ours: bool
    values: Mapping[str, list[float]]
    failure: str | None = None


class Figures:
    """The medians of a part, for its targets."""

    def __init__(self, measured: list[Measured]) -> None:
        self._measured = measured

    def get(self, metric: str, setting: str, row: str) -> float | None:
        """The median of one case."""
        for one in self._measured:
            if (one.setting, one.row) == (setting, row) and one.values.get(metric):
                return statistics.median(one.values[metric])
        return None

    def ratio(self, metric: str, ours: tuple[str, str], other: tuple[str, str]) -> float | None:
        """One median by another; each is named by setting and row."""
        first, second = self.get(metric, *ours), self.get(metric, *other)
        return None if first is None or not second else first / second

    def best(self, metric: str, setting: str, rows: tuple[str, ...]) -> float | None:
        """The least median of several rows."""
        return min(self._all(metric, setting, rows), default=None)

    def most(self, metric: str, setting: str, rows: tuple[str, ...]) -> float | None:
        """The largest median of several rows."""
        return max(self._all(metric, setting, rows), default=None)

    def _all(self, metric: str, setting: str, rows: tuple[str, ...]) -> Iterator[float]:
        values = (self.get(metric, setting, row) for row in rows)
        return (value for value in values if value is not None)


Compute: TypeAlias = Callable[[Figures], float | None]
"""A ratio or a figure, computed from the medians; `None` where one is missing."""


def by(numerator: float | None, denominator: float | None) -> float | None:
    """A ratio, where both are known."""
    return None if numerator is None or not denominator else numerator / denominator
