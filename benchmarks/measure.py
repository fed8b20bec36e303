"""Run the cases: a new process for each measurement, with alternating contenders."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.environments import Environments
from benchmarks.model import Case, Measured, Metric

SCRIPTS = Path(__file__).parent / "contenders"
LONGEST = 300.0
"""Seconds after which a measurement counts as failed."""


@contextmanager
def serving(folder: Path) -> Generator[Mapping[str, str]]:
    """Start the server in a separate process and yield its addresses."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield json.loads(server.stdout.readline())
    finally:
        server.communicate("")


class Measurements:
    """Measures cases and collects the samples."""

    def __init__(
        self, environments: Environments, addresses: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._environments = environments
        self._addresses = addresses
        self._say = say

    def take(self, cases: list[Case], metrics: tuple[Metric, ...]) -> list[Measured]:
        """Measure all cases once in each round, in varying order."""
        samples: dict[int, list[Any]] = defaultdict(list)
        failures: dict[int, str] = {}
        order = random.Random(0)
        for number in range(max(case.rounds for case in cases)):
            due = [index for index, case in enumerate(cases) if number < case.rounds]
            order.shuffle(due)
            light = [index for index in due if cases[index].is_light]
            heavy = [index for index in due if not cases[index].is_light]
            started = time.monotonic()
            with ThreadPoolExecutor(5) as pool:
                results = [*zip(light, pool.map(lambda i: self._once(cases[i]), light))]  # noqa: B905
            results += [(index, self._once(cases[index])) for index in heavy]
            for index, result in results:
                if isinstance(result, str):
                    failures[index] = result
                else:
                    samples[index].append(result)
            self._say(f"  round {number + 1}: {time.monotonic() - started:.0f} s")
        return [
            _measured(case, samples[index], failures.get(index), metrics)
            for index, case in enumerate(cases)
        ]

    def _once(self, case: Case) -> dict[str, Any] | str:
        """A sample, or the reason why there is none."""
        name = case.contender.environment
        if name in self._environments.problems:
            return self._environments.problems[name]
        origin = self._addresses[case.server]
        parameters = {"origin": origin, **case.parameters}
        if case.server != "http":
            parameters["ca"] = self._addresses["ca"]
        command = [
            *self._environments.command(name),
            str(SCRIPTS / case.contender.script),
            case.task,
            json.dumps(parameters),
            origin,
        ]
        variables = {
            key: value
            for key, value in os.environ.items()
            if not key.upper().endswith("_PROXY") and key not in ("PYTHONPATH", "PYTHONHOME")
        }
        try:
            ended = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=LONGEST,
                env=variables | self._environments.variables(name),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"not over after {LONGEST:.0f} s"
        lines = (ended.stdout if ended.returncode == 0 else ended.stderr).strip().splitlines()
        if ended.returncode != 0:
            errors = [line for line in lines if "Error" in line] or lines
            return errors[-1][:200] if errors else f"ended with {ended.returncode}"
        sample: dict[str, Any] = json.loads(lines[-1])
        if sample.get("failures"):
            return f"{sample['failures']} of {sample['count']} calls failed: {sample['failure']}"
        return sample


def _measured(
    case: Case, samples: list[Any], failure: str | None, metrics: tuple[Metric, ...]
) -> Measured:
    values: dict[str, list[float]] = {}
    for metric in metrics:
        try:
            values[metric.name] = [metric.read(sample) for sample in samples]
        except KeyError:  # this case has no such metric
            continue
    return Measured(case.setting, case.row, case.contender.is_ours, values, failure)
