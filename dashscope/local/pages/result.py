"""The result of a job as pages show it: status, output, log, error and times."""

import json
from datetime import timedelta
from typing import Any, Final

from attrs import evolve, frozen

from dashscope.local.http.services import Services
from dashscope.local.jobs.runs import Run
from dashscope.local.pages.display import (
    ITEM_LIMIT,
    TEXT_LIMIT,
    Display,
    DisplayItem,
    as_items,
    cut,
)
from dashscope.local.pages.markdown import markdown_of
from dashscope.local.pages.templating import PREFIX, format_duration
from dashscope.local.type_guards import is_list
from dashscope.local.values import Job, now, parse_timestamp
from dashscope.types.prediction import Progress

OUTPUT_LIMIT: Final = 2_000_000
"""Maximum characters of JSON of an output that a page shows."""

TAIL_LINES: Final = 12
"""Lines of the log that are shown with the error of a failed job."""


@frozen(kw_only=True)
class Output:
    """An output on a page: a growing text, or a list of items."""

    text: DisplayItem | None = None
    items: tuple[DisplayItem, ...] = ()
    more: int = 0
    too_long: int = 0
    parts: int = 0


@frozen(kw_only=True)
class Result:
    """A job with everything that pages show of its result."""

    job: Job
    path: str
    """The path of the job's page below the base path."""

    seconds: float | None
    output: Output
    log: str
    log_end: int
    log_omitted: int
    progress: int | None
    place: str
    measures: tuple[tuple[str, str], ...]
    trained: str | None
    before: DisplayItem | None
    """The only image of the input, to compare it with an image of the output."""

    @property
    def is_only_error(self) -> bool:
        """Whether the job failed without an output."""
        return self.job.error is not None and not (self.output.text or self.output.items)

    @property
    def log_tail(self) -> str:
        """The last lines of the log."""
        return "\n".join(self.log.rstrip().splitlines()[-TAIL_LINES:])


async def result_of(parts: Services, job: Job) -> Result:
    """Return the result of a job for a page."""
    run = parts.engine.run_of(job.id)
    log = run.log.text if run is not None else job.logs
    output = output_of(parts, job, run)
    measured = measures(job, output.parts if parts.renderer.streams(job) else 0)
    place = place_of(run)
    if job.finished:
        output = await _rendered(output)
    trained = json.loads(job.output)["version"] if job.kind == "training" and job.output else None
    return Result(
        job=job,
        path=path_of(job),
        seconds=seconds_of(job),
        output=output,
        log=log[-TEXT_LIMIT:],
        log_end=run.log.end if run is not None else len(log),
        log_omitted=max(0, len(log) - TEXT_LIMIT),
        progress=progress_of(log),
        place=place,
        measures=measured,
        trained=trained,
        before=_image_of(parts, job),
    )


async def _rendered(output: Output) -> Output:
    """Return a finished output with its Markdown rendered."""
    if output.text is not None:
        html = await markdown_of(output.text.text) if not output.text.more else None
        return evolve(output, text=evolve(output.text, html=html))
    if len(output.items) == 1 and output.items[0].kind == "text" and not output.items[0].more:
        item = output.items[0]
        return evolve(output, items=(evolve(item, html=await markdown_of(item.text)),))
    return output


def _image_of(parts: Services, job: Job) -> DisplayItem | None:
    inputs = as_items(json.loads(parts.renderer.localize(job.input)))
    texts = [value for value in inputs.values() if isinstance(value, str) and len(value) < 2000]
    images = [item for text in texts if (item := display(parts).value(text)).kind == "image"]
    return images[0] if len(images) == 1 else None


def path_of(job: Job) -> str:
    """Return the path of a job's page."""
    return f"{PREFIX}/{job.kind}s/{job.id}"


def output_schema(parts: Services, job: Job) -> dict[str, Any]:
    """Return the output schema of a prediction's version, or an empty schema."""
    version = parts.store.models.version(job.version)
    if version is None or job.kind == "training":
        return {}
    schema: dict[str, Any] = json.loads(version.schema)["components"]["schemas"]["Output"]
    return schema


def concatenates(parts: Services, job: Job) -> bool:
    """Return whether the parts of a job's output form one text."""
    return output_schema(parts, job).get("x-cog-array-display") == "concatenate"


def progress_of(log: str) -> int | None:
    """Return the progress in percent that a log reports, or None."""
    progress = Progress.parse(log[-5000:])
    return round(progress.percentage * 100) if progress is not None else None


def seconds_of(job: Job) -> float | None:
    """Return how many seconds a job has been running, or ran."""
    if job.started_at is None:
        return None
    return _seconds(job.started_at, job.completed_at)


def _seconds(begin: str, end: str | None) -> float:
    ended = parse_timestamp(end) if end is not None else now()
    return (ended - parse_timestamp(begin)) / timedelta(seconds=1)


def measures(job: Job, tokens: int) -> tuple[tuple[str, str], ...]:
    """Return the times of a finished job, and its speed if it streamed ``tokens`` parts."""
    if job.completed_at is None or job.started_at is None or job.example:
        return ()
    found: list[tuple[str, str]] = []
    if job.acquired_at is not None:
        found.append(("Queued", format_duration(_seconds(job.created_at, job.acquired_at))))
        found.append(("Loading", format_duration(_seconds(job.acquired_at, job.started_at))))
    running = _seconds(job.started_at, job.completed_at)
    found.append(("Running", format_duration(running)))
    if tokens > 1 and running > 0:
        found.append(("Speed", f"{tokens / running:,.1f} tokens/s"))
    return tuple(found)


def display(parts: Services) -> Display:
    """Return the object that converts values to display items."""
    return Display(parts.store, parts.folder, parts.signer, parts.renderer.address)


def output_of(parts: Services, job: Job, run: Run | None) -> Output:
    """Return a job's output for its page."""
    written = run.parts_json() if run is not None else [job.output or "null"]
    length = sum(map(len, written))
    if length > OUTPUT_LIMIT:
        return Output(too_long=length)
    value: Any
    if run is not None and (run.streams or run.output is None):
        value = [json.loads(part) for part in written]
    else:
        value = json.loads(written[0])
    count = len(value) if is_list(value) else 0
    if is_list(value) and concatenates(parts, job):
        return Output(text=cut("text", "".join(map(str, value))), parts=count)
    if value is None or value == [] or job.kind == "training":
        return Output()
    more = max(0, count - ITEM_LIMIT)
    return Output(items=tuple(display(parts).output(value)), more=more, parts=count)


def place_of(run: Run | None) -> str:
    """Return the event id that corresponds to the state of a run on a page."""
    if run is None:
        return ""
    return f"{len(run.parts_json())}-{run.log.end}-{run.job.status}"
