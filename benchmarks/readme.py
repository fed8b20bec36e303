"""Write the measured figures into the tables of both READMEs: `python -m benchmarks.readme`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
RESULTS = Path(__file__).parent / "results" / "results.json"
SETTINGS = ("1", "10", "100", "500", "sync")
ROW = re.compile(r"^(\| (?:\*\*)?`(\w+)`(?:\*\*)?(?: ([\w.]+))? \|)(?: \d+ \|){5}$", re.MULTILINE)


def updated(text: str, results: dict[str, Any]) -> str:
    """Return a README with the CPU time per request of each contender and setting."""
    measured = {
        (each["row"], each["setting"]): f"{median(each['values']['CPU per request']):.0f}"
        for each in results["parts"]["requests"]["measured"]
        if "CPU per request" in each["values"]
    }

    def row(match: re.Match[str]) -> str:
        name = f"{match[2]} {match[3]}"
        name = name if (name, "1") in measured else match[2]
        return match[1] + "".join(f" {measured[name, setting]} |" for setting in SETTINGS)

    text, count = ROW.subn(row, text)
    assert count == 5, f"the README has {count} rows of figures"
    return text


def main() -> None:
    """Update both READMEs."""
    results = json.loads(RESULTS.read_text("utf-8"))
    for path in READMES:
        path.write_text(updated(path.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    main()
