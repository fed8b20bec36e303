"""Uploading and downloading a gigabyte: time and memory."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from attrs import evolve

from benchmarks.model import (
    BARE_HTTPX,
    OPENAI,
    OURS,
    REPLICATE_1,
    REPLICATE_2,
    Case,
    Metric,
    Part,
    Target,
)

CPU = Metric("CPU", "s", lambda sample: sample["cpu"], digits=2)
WALL = Metric("wall time", "s", lambda sample: sample["wall"], digits=2)
GROWTH = Metric("growth of the process", "MB", lambda sample: sample["growth"] / 1e6, digits=1)

UP, DOWN = "up, as ten files", "down, as one"
FILE = 100 * 1024 * 1024
QUICK_FILE = 20 * 1024 * 1024


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _files(size: int) -> list[str]:
    paths = [_folder() / f"{number}.bin" for number in range(10)]
    for path in paths:
        with path.open("wb") as file:
            file.truncate(size)
    return [str(path) for path in paths]


def cases(quick: bool) -> list[Case]:
    size = QUICK_FILE if quick else FILE
    up = {"paths": _files(size)}
    down = {"size": size * 10, "target": str(_folder() / "down")}
    found = [
        Case(UP, who, "upload", "sync", up)
        for who in (OURS, BARE_HTTPX, REPLICATE_1, REPLICATE_2, OPENAI)
    ]
    found.append(Case(UP, OURS, "upload_async", "async", up))
    found.append(Case(UP, OURS, "upload_at_once", "async, as one run's inputs", up))
    found += [
        Case(DOWN, who, "download", "sync", down)
        for who in (OURS, BARE_HTTPX, REPLICATE_1, REPLICATE_2)
    ]
    found.append(Case(DOWN, OURS, "download_async", "async", down))
    return [evolve(case, rounds=1 if quick else 3) for case in found]


PART = Part(
    "files",
    "Files",
    "Ten files of 100 MB (200 MB in all in a quick run) uploaded with `files.create`, one after "
    "another, to a server that throws them away, and one output of their size saved to disk. The "
    "growth is that of the client's process at its largest. `openai` has no outputs to download.",
    (CPU, WALL, GROWTH),
    cases,
    tuple(
        Target(
            f"growth, {setting}, {way}, MB",
            64.0,
            lambda figures, setting=setting, way=way: figures.get(
                GROWTH.name, setting, f"dashscope, {way}"
            ),
        )
        for setting, way in (
            (UP, "sync"),
            (UP, "async"),
            (UP, "async, as one run's inputs"),
            (DOWN, "sync"),
            (DOWN, "async"),
        )
    ),
)
