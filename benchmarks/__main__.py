"""`python -m benchmarks`: create the environments, measure, and write the report."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from benchmarks import charts, machine, readme, report
from benchmarks.environments import Environments
from benchmarks.measure import Measurements, serving
from benchmarks.model import Measured, Part
from benchmarks.parts import PARTS

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    names = [part.name for part in PARTS]
    parser = argparse.ArgumentParser(prog="nox -s bench --", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, in two minutes")
    parser.add_argument("--only", metavar="PARTS", help="of " + ",".join(names))
    parser.add_argument("--rounds", type=int, help="at most so many rounds")
    parser.add_argument("--environments", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--results", type=Path, help="where to write; by default, full runs to "
                        f"{RESULTS.name}/, quick ones to build/bench/")  # fmt: skip
    arguments = parser.parse_args()
    chosen = (arguments.only or ",".join(names)).split(",")
    if unknown := set(chosen) - set(names):
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(names)}")
    folder = arguments.results or (Path("build/bench") if arguments.quick else RESULTS)
    folder.mkdir(parents=True, exist_ok=True)

    environments = Environments(arguments.environments)
    _say("environments")
    environments.make()
    results = _load(folder / "results.json")
    results["machine"] = machine.describe()
    results["versions"] = environments.versions()
    with tempfile.TemporaryDirectory() as scratch, serving(Path(scratch)) as addresses:
        measurements = Measurements(environments, addresses, _say)
        for part in PARTS:
            if part.name in chosen:
                results["parts"][part.name] = _measure(
                    part, measurements, arguments.quick, arguments.rounds
                )
                _write(results, folder)
    if folder == RESULTS:
        readme.main()
    _say(f"written to {folder}")


def _measure(
    part: Part, measurements: Measurements, quick: bool, rounds: int | None
) -> dict[str, Any]:
    _say(part.name)
    load = machine.load()
    cases = [
        attrs.evolve(case, rounds=min(case.rounds, rounds or case.rounds))
        for case in part.cases(quick)
    ]
    measured = measurements.take(cases, part.metrics)
    about = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load": [load, machine.load()],
        "quick": quick,
        "rounds": max(case.rounds for case in cases),
    }
    print(report.markdown(part, measured, about))
    return {"about": about, "measured": [attrs.asdict(one) for one in measured]}


def _load(path: Path) -> dict[str, Any]:
    """Load earlier results, so that parts that are not measured now keep theirs."""
    if path.exists():
        loaded: dict[str, Any] = json.loads(path.read_text())
        return loaded
    return {"parts": {}}


def _write(results: dict[str, Any], folder: Path) -> None:
    (folder / "results.json").write_text(
        json.dumps(results, indent=1, default=str, sort_keys=True) + "\n"
    )
    sections = [report.head(results["machine"], results["versions"])]
    for part in PARTS:
        if part.name in results["parts"]:
            kept = results["parts"][part.name]
            measured = [Measured(**one) for one in kept["measured"]]
            sections.append(report.markdown(part, measured, kept["about"]))
            charts.draw(part, measured, folder)
    (folder / "README.md").write_text("\n".join(sections))


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
