"""The report of the benchmarks shows measured and missing results."""

from __future__ import annotations

from benchmarks.model import Figures, Measured, Metric, Part, Target
from benchmarks.report import markdown, table

CPU = Metric("CPU", "µs", lambda sample: sample["cpu"])
ABOUT = {"date": "2026-01-31", "load": [0.1, 0.2], "quick": False, "rounds": 3}


def measured(row: str, setting: str, *values: float, failure: str | None = None) -> Measured:
    return Measured(setting, row, row == "dashscope", {"CPU": list(values)}, failure)


def test_a_table_has_a_row_for_each_contender_and_a_column_for_each_setting():
    lines = table(
        [measured("dashscope", "1", 10, 11, 30), measured("dashscope", "100", 12),
         measured("peer", "1", 20)],
        CPU,
    )  # fmt: skip
    assert lines == [
        "| | 1 | 100 |",
        "|---|---:|---:|",
        "| **dashscope** | 11 ±91% | 12 |",
        "| peer | 20 |  |",
    ]


def test_a_contender_that_failed_stays_in_the_table_with_its_reason():
    text = markdown(
        Part("p", "Part", "What.", (CPU,), lambda _: []),
        [measured("dashscope", "1", 10), measured("peer", "1", failure="no such module")],
        ABOUT,
    )
    assert "| peer | failed |" in text
    assert "- peer, 1: no such module" in text


def test_targets_are_reached_missed_or_unmeasured():
    def ratio(figures: Figures) -> float | None:
        return figures.ratio("CPU", ("1", "dashscope"), ("1", "peer"))

    targets = (
        Target("ahead", 0.6, ratio),
        Target("far ahead", 0.4, ratio),
        Target("behind", 0.4, ratio, at_least=True),
        Target("unknown", 1, lambda figures: figures.get("CPU", "2", "dashscope")),
    )
    text = markdown(
        Part("p", "Part", "What.", (CPU,), lambda _: [], targets),
        [measured("dashscope", "1", 10), measured("peer", "1", 20)],
        ABOUT,
    )
    assert "| ahead | ≤ 0.6 | 0.5 | reached |" in text
    assert "| far ahead | ≤ 0.4 | 0.5 | **missed** |" in text
    assert "| behind | ≥ 0.4 | 0.5 | reached |" in text
    assert "| unknown | ≤ 1 | | not measured |" in text
