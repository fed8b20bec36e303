"""The values that describe benchmarks and results."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from attrs import field, frozen

Sample = Mapping[str, Any]
"""The output of one run of a contender's script."""


@frozen
class Contender:
    """A client that is measured.

    Attributes:
        label: The name in tables.
        environment: The environment of its script.
        script: The script in `contenders/`.
        is_ours: Whether it is this client.
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
    """A metric that is read from a sample.

    Attributes:
        name: The name of the metric.
        unit: Its unit.
        read: Returns the value in a sample.
        digits: The number of decimal places.
        more_is_better: Whether larger values are better.
    """

    name: str
    unit: str
    read: Callable[[Sample], float] = field(eq=False)
    digits: int = 0
    more_is_better: bool = False


@frozen
class Case:
    """One contender with one setting.

    Attributes:
        setting: The column of the table, such as `100 in flight`.
        contender: The contender.
        task: The function of its script.
        variant: How the contender is used, if there are several ways.
        parameters: The function's arguments without the server's address.
        server: Which address of the server to use: `http`, `https` or `http2`.
        rounds: The number of measurements.
        is_light: Whether the machine stays idle, so that several cases may run concurrently.
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
        """Return the row of the table."""
        return self.contender.label + (f", {self.variant}" if self.variant else "")


@frozen
class Target:
    """A target for a ratio of medians.

    Attributes:
        text: The description.
        limit: The maximum, or the minimum.
        value: Computes the ratio or value from the medians. `None` if a result is missing.
        at_least: Whether `limit` is the minimum.
    """

    text: str
    limit: float
    value: Compute
    at_least: bool = False


@frozen
class Part:
    """A part of the benchmarks.

    Attributes:
        name: The name on the command line.
        title: The heading.
        about: A short description of the measurement.
        metrics: The metrics, with a table each.
        cases: Returns the cases of a quick or of a full run.
        targets: The targets.
        chart: The kind of chart, `lines` or `bars`. It shows the first metric.
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
    """The samples of a case by metric, and its failures."""

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
        """Return the median of one case."""
        for one in self._measured:
            if (one.setting, one.row) == (setting, row) and one.values.get(metric):
                return statistics.median(one.values[metric])
        return None

    def ratio(self, metric: str, ours: tuple[str, str], other: tuple[str, str]) -> float | None:
        """Return the ratio of two medians, each named by setting and row."""
        first, second = self.get(metric, *ours), self.get(metric, *other)
        return None if first is None or not second else first / second

    def best(self, metric: str, setting: str, rows: tuple[str, ...]) -> float | None:
        """Return the smallest median of several rows."""
        return min(self._all(metric, setting, rows), default=None)

    def most(self, metric: str, setting: str, rows: tuple[str, ...]) -> float | None:
        """Return the largest median of several rows."""
        return max(self._all(metric, setting, rows), default=None)

    def _all(self, metric: str, setting: str, rows: tuple[str, ...]) -> Iterator[float]:
        values = (self.get(metric, setting, row) for row in rows)
        return (value for value in values if value is not None)


Compute: TypeAlias = Callable[[Figures], float | None]
"""Computes a ratio or value from the medians. Returns `None` if one is missing."""


def by(numerator: float | None, denominator: float | None) -> float | None:
    """Return a ratio if both values are known."""
    return None if numerator is None or not denominator else numerator / denominator
