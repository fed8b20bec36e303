"""The in-memory state of an unfinished job, and the event that wakes those who follow it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

from dashscope.local.jobs.logs import Log
from dashscope.local.jobs.processes import Worker
from dashscope.local.type_guards import is_list
from dashscope.local.values import Job

OUTPUT_LIMIT: Final = 64 * 1024 * 1024
"""Maximum characters of JSON in the parts of one output."""


class Run:
    """A job from its creation until it finishes."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.log = Log()
        self.parts: list[str] = []
        self.output: str | None = None
        self.files: list[dict[str, Any]] = []
        self.streams = False
        self.acquired_at: str | None = None
        self.worker: Worker | None = None
        self.acquiring: asyncio.Future[Worker] | None = None
        self.deadline: asyncio.TimerHandle | None = None
        self.finished = asyncio.Event()
        self._size = 0
        self._changed = asyncio.Event()

    def add_part(self, part: str) -> bool:
        """Add a part to the output. Return False if the output is now too large."""
        self._size += len(part)
        self.streams = True
        self.parts.append(part)
        self.notify()
        return self._size <= OUTPUT_LIMIT

    def add_log(self, text: str) -> None:
        """Append text to the log."""
        self.log.append(text)
        self.notify()

    def output_json(self) -> str | None:
        """Return the output so far as JSON."""
        return f"[{','.join(self.parts)}]" if self.streams else self.output

    def parts_json(self) -> list[str]:
        """Return the parts of the output so far, each as JSON."""
        if self.streams or self.output is None:
            return self.parts
        return [self.output]

    def notify(self) -> None:
        """Wake all tasks that follow this run."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @property
    def next_change(self) -> asyncio.Event:
        """An event that is set at the next change. Get it before reading the run."""
        return self._changed


def finished_run(job: Job) -> Run:
    """Return a finished job as a run, for code that reads runs."""
    run = Run(job)
    run.log.append(job.logs)
    if job.output is not None:
        output: object = json.loads(job.output)
        run.parts = [json.dumps(part) for part in (output if is_list(output) else [output])]
        run.streams = True
    run.finished.set()
    return run


Listener = Callable[[Run, str], None]
"""Called with a run and an event: created, start, output, logs or completed."""
