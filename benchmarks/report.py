"""The report: results as Markdown. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.model import Figures, Measured, Metric, Part

ABOUT = (
    "Made by `nox -s bench`; not edited by hand. Medians of several rounds, with half the range of "
    "the middle half as spread. Each figure comes from fresh processes, the contenders take turns, "
    "and the server is a process of its own on the same machine."
)


def spread(values: Sequence[float]) -> float:
    """Return half the interquartile range relative to the median."""
    if len(values) < 3:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / middle if middle else 0.0


def cell(one: Measured | None, metric: Metric) -> str:
    """Return a median with its spread, or the reason why there is none."""
    if one is None:
        return ""
    values = one.values.get(metric.name, [])
    if one.failure is not None and not values:
        return "failed"
    if not values:
        return ""
    text = f"{statistics.median(values):.{metric.digits}f}"
    if len(values) > 2:
        text += f" ±{spread(values):.0%}"
    return text + (" (some failed)" if one.failure else "")


def table(measured: Sequence[Measured], metric: Metric) -> list[str]:
    """Return a table with a row for each contender and a column for each setting."""
    with_figures = [one for one in measured if metric.name in one.values or one.failure is not None]
    settings = [
        setting
        for setting in dict.fromkeys(one.setting for one in measured)
        if any(one.values.get(metric.name) for one in measured if one.setting == setting)
    ]
    found = {(one.row, one.setting): one for one in with_figures}
    rows = dict.fromkeys(one.row for one in with_figures if one.setting in settings)
    lines = [
        "| | " + " | ".join(settings) + " |",
        "|---|" + "---:|" * len(settings),
    ]
    for row in rows:
        cells = [cell(found.get((row, setting)), metric) for setting in settings]
        name = f"**{row}**" if row.startswith("dashscope") else row
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def targets(part: Part, measured: list[Measured]) -> list[str]:
    """Return a table of targets and results."""
    figures = Figures(measured)
    lines = ["| to reach | | measured | |", "|---|---:|---:|---|"]
    for target in part.targets:
        value = target.value(figures)
        bound = f"{'≥' if target.at_least else '≤'} {target.limit:g}"
        if value is None:
            lines.append(f"| {target.text} | {bound} | | not measured |")
            continue
        reached = value >= target.limit if target.at_least else value <= target.limit
        lines.append(
            f"| {target.text} | {bound} | {value:.3g} | {'reached' if reached else '**missed**'} |"
        )
    return lines if part.targets else []


def markdown(part: Part, measured: list[Measured], about: Mapping[str, Any]) -> str:
    """Return the section of a part."""
    lines = [f"## {part.title}", "", part.about, ""]
    for metric in part.metrics:
        if any(one.values.get(metric.name) for one in measured):
            unit = f", {metric.unit}" if metric.unit else ""
            more = " (more is better)" if metric.more_is_better else ""
            lines += [f"**{metric.name}{unit}**{more}", "", *table(measured, metric), ""]
    if part.chart:
        lines += [f"![{part.title}]({part.name}.png)", ""]
    if part.targets:
        lines += [*targets(part, measured), ""]
    failures = dict.fromkeys(
        f"- {one.row}, {one.setting}: {one.failure}" for one in measured if one.failure is not None
    )
    if failures:
        lines += ["Failed:", "", *failures, ""]
    load = about["load"]
    lines += [
        f"*{about['date']}; load of the machine {load[0]:.1f} before, {load[1]:.1f} after; "
        + ("quick" if about["quick"] else f"{about['rounds']} rounds")
        + ".*",
        "",
    ]
    return "\n".join(lines)


def head(machine: Mapping[str, Any], versions: Mapping[str, Mapping[str, str]]) -> str:
    """Return the introduction of the report."""
    lines = [
        "# Benchmarks",
        "",
        ABOUT,
        "",
        "Machine: {cpu}, {cores} cores, {memory}, {system}, Python {python}.".format(**machine),
        "",
        "| environment | versions |",
        "|---|---|",
    ]
    for name, packages in versions.items():
        listed = ", ".join(f"{package} {version}" for package, version in packages.items())
        lines.append(f"| {name} | {listed} |")
    return "\n".join([*lines, ""])
