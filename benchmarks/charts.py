"""Charts of the parts, small enough to be stored with the code."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import LogFormatter, NullLocator

from benchmarks.model import Measured, Metric, Part

OURS = "#c2410c"
OTHERS = ("#1e3a5f", "#4b7ba8", "#8fb3d1", "#5f6b3f", "#97a878", "#8a6d9b", "#b9a5c4", "#777777",
          "#aaaaaa")  # fmt: skip


def draw(part: Part, measured: list[Measured], folder: Path) -> None:
    """Draw the first metric of a part as lines over its settings or as bars."""
    metric = part.metrics[0]
    if part.chart == "lines":
        figure = _lines(part, metric, measured)
    elif part.chart == "bars":
        figure = _bars(part, metric, measured)
    else:
        return
    figure.savefig(folder / f"{part.name}.png", dpi=90, metadata={"Software": None})
    plt.close(figure)


def _lines(part: Part, metric: Metric, measured: list[Measured]) -> plt.Figure:
    """Draw lines over numeric settings, such as `100` or `0.2 s`."""
    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    others, styles = iter(OTHERS), iter(("-", "--", ":", "-."))
    places: set[float] = set()
    rows = dict.fromkeys(one.row for one in measured)
    for row in rows:
        points = [
            (number, statistics.median(one.values[metric.name]))
            for one in measured
            if one.row == row
            and one.values.get(metric.name)
            and (number := _number(one.setting)) is not None
        ]
        if len(points) < 2:
            continue
        ours = row.startswith("dashscope")
        axes.plot(
            *zip(*sorted(points), strict=True),
            marker="o",
            markersize=4,
            label=row,
            color=OURS if ours else next(others, "#cccccc"),
            linewidth=2.5 if ours else 1.3,
            linestyle=next(styles) if ours else "-",
        )
        places |= {place for place, _ in points}
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sorted(places), [f"{place:g}" for place in sorted(places)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(1, 0.5)))
    axes.tick_params(labelsize=8, which="both")
    axes.set_xlabel("requests in flight" if part.name == "requests" else "length of the run, s")
    axes.set_ylabel(f"{metric.name}, {metric.unit}")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _bars(part: Part, metric: Metric, measured: list[Measured]) -> plt.Figure:
    """Draw bars for the first setting, the shortest on top."""
    setting = measured[0].setting
    bars = sorted(
        (statistics.median(one.values[metric.name]), one.row)
        for one in measured
        if one.setting == setting and one.values.get(metric.name)
    )
    bars = bars if metric.more_is_better else bars[::-1]
    figure, axes = plt.subplots(figsize=(7.5, 0.6 + 0.32 * len(bars)), layout="constrained")
    axes.barh(
        [row for _, row in bars],
        [value for value, _ in bars],
        color=[OURS if row.startswith("dashscope") else OTHERS[1] for _, row in bars],
    )
    for number, (value, _) in enumerate(bars):
        axes.annotate(f" {value:.{metric.digits}f}", (value, number), va="center", fontsize=8)
    axes.set_xlabel(f"{metric.name}, {metric.unit} ({setting})")
    axes.tick_params(labelsize=8)
    return figure


def _number(setting: str) -> float | None:
    try:
        return float(setting.removesuffix(" s"))
    except ValueError:
        return None
