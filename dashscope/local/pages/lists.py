"""Lists of predictions and trainings: filters, rows, and their live updates.

A list sends only the rows that changed. All pages that show the same list share the rendered rows,
so that hundreds of open pages cost little more than one.
"""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from attrs import asdict, evolve, frozen
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dashscope.local.http.routes.streams import event
from dashscope.local.http.services import Services, services
from dashscope.local.models.references import FILE_URL, strings
from dashscope.local.pages.display import DisplayItem, as_items
from dashscope.local.pages.result import display, path_of, progress_of, seconds_of
from dashscope.local.pages.templating import macros
from dashscope.local.store.jobs import JobFilter
from dashscope.local.values import Job, now, timestamp

STATUSES: Final[dict[str, tuple[str, ...]]] = {
    "queued": ("starting",),
    "running": ("processing",),
    "succeeded": ("succeeded",),
    "failed": ("failed",),
    "canceled": ("canceled", "aborted"),
}
"""The statuses of the API for each status on the pages."""

PERIODS: Final = {
    "hour": ("Last hour", timedelta(hours=1)),
    "day": ("Last 24 hours", timedelta(days=1)),
    "week": ("Last 7 days", timedelta(days=7)),
}

ROWS: Final = 25
"""Rows on a page of a list. The script loads older rows when the reader scrolls to the end."""

TEXT_LIMIT: Final = 200
"""Maximum characters of a search."""

KEPT_LISTS: Final = 64
"""Number of lists whose rendered rows are kept."""

KEEP_ALIVE_COMMENT: Final = ": still here\n\n"


@frozen(kw_only=True)
class ListQuery:
    """What a list shows. Empty members select all jobs."""

    kind: str = "prediction"
    q: str = ""
    status: str = ""
    model: str = ""
    version: str = ""
    deployment: str = ""
    since: str = ""
    size: int = ROWS

    @classmethod
    def read(cls, request: Request, kind: str) -> "ListQuery":
        """Return the query of a page's URL. Unknown values select all jobs."""
        given = request.query_params
        status, since = given.get("status", ""), given.get("since", "")
        return cls(
            kind=kind,
            q=given.get("q", "").strip()[:TEXT_LIMIT],
            status=status if status in STATUSES else "",
            model=given.get("model", ""),
            version=given.get("version", ""),
            deployment=given.get("deployment", ""),
            since=since if since in PERIODS else "",
        )

    @property
    def query_string(self) -> str:
        """The query of the page's URL."""
        defaults = ListQuery()
        given = asdict(self)
        return urlencode(
            {
                name: value
                for name, value in given.items()
                if name != "kind" and value != getattr(defaults, name)
            }
        )

    @property
    def is_filtered(self) -> bool:
        """Whether the list shows only a part of the jobs."""
        return bool(self.q or self.status or self.model or self.version or self.since)

    def selected(self) -> JobFilter:
        """Return the filter for the store."""
        after = now() - PERIODS[self.since][1] if self.since else None
        return JobFilter(
            kind=self.kind,
            model=self.model or None,
            version=self.version or None,
            deployment=self.deployment or None,
            statuses=STATUSES.get(self.status, ()),
            created_after=timestamp(after) if after is not None else None,
            text=self.q,
        )


@frozen(kw_only=True)
class Row:
    """A job in a list."""

    job: Job
    path: str
    seconds: float | None
    output: DisplayItem | None
    progress: int | None
    files: tuple[str, ...]
    trained: str


@frozen(kw_only=True)
class JobList:
    """A page of a list, with each row as HTML, keyed by the job's id."""

    query: ListQuery
    rows: dict[str, Markup]
    counts: str
    feed: int
    """The count of the change feed when the rows were read."""

    next: str | None
    previous: str | None

    @property
    def html(self) -> Markup:
        """The rows."""
        return Markup("").join(self.rows.values())

    def link(self, cursor: str) -> str:
        """Return the query of the URL of another page of the list."""
        return "&".join(filter(None, [self.query.query_string, urlencode({"cursor": cursor})]))


class Lists:
    """Reads lists, and keeps the first pages until a job changes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[ListQuery, str], JobList] = {}
        self._change: tuple[dict[str, Markup], JobList, str] | None = None

    def read(self, parts: Services, query: ListQuery, cursor: str | None = None) -> JobList:
        """Return a page of a list.

        Raises:
            ProblemError: The cursor is invalid.
        """
        key = query, parts.renderer.address
        kept = self._kept.get(key)
        if cursor is None and kept is not None and kept.feed == parts.feed.count:
            return kept
        page = parts.store.jobs.overview(query.selected(), cursor, query.size)
        macro = macros("row.html", parts.renderer.base_path)
        counts = parts.store.jobs.unfinished_counts(query.kind)
        found = JobList(
            query=query,
            rows={job.id: macro.html(row_of(parts, job)) for job in page.results},
            counts=f"{counts.get('processing', 0)} running, {counts.get('starting', 0)} queued",
            feed=parts.feed.count,
            next=page.next,
            previous=page.previous,
        )
        if cursor is None:
            if len(self._kept) >= KEPT_LISTS:
                self._kept.clear()
            self._kept[key] = found
        return found

    def change(self, sent: dict[str, Markup], found: JobList) -> str:
        """Return the change from the rows that a page has to the current rows, as JSON."""
        if self._change is not None:
            before, after, text = self._change
            # Most pages have the same rows. Encode their change once.
            if before is sent and after is found:
                return text
        changed = {job_id: html for job_id, html in found.rows.items() if sent.get(job_id) != html}
        text = json.dumps({"order": list(found.rows), "rows": changed, "counts": found.counts})
        self._change = sent, found, text
        return text


def row_of(parts: Services, job: Job) -> Row:
    """Return the list row of a job."""
    run = parts.engine.run_of(job.id)
    training = job.kind == "training"
    return Row(
        job=job,
        path=path_of(job),
        seconds=seconds_of(job),
        output=None if training else display(parts).preview(job.output),
        progress=progress_of(run.log.since(run.log.end - 1000)) if run is not None else None,
        files=_file_names(parts, job) if training else (),
        trained=json.loads(job.output)["version"] if training and job.output else "",
    )


def _file_names(parts: Services, job: Job) -> tuple[str, ...]:
    inputs = as_items(json.loads(parts.renderer.localize(job.input)))
    matches = [match for text in strings(inputs) if (match := FILE_URL.fullmatch(text))]
    files = [parts.store.files.get(match[2], timestamp(now())) for match in matches[:10]]
    return tuple(file.name for file in files if file is not None)


def lists(request: Request) -> Lists:
    """Return the lists of the pages."""
    found: Lists = request.app.state.lists
    return found


async def list_events(request: Request) -> Response:
    """Return the changed rows of a list, and the order of the rows, after each change."""
    parts = services(request)
    given = request.query_params
    size = given.get("size", "")
    query = ListQuery.read(request, "training" if given.get("kind") == "training" else "prediction")
    if size.isascii() and size.isdigit() and 0 < int(size) <= ROWS:
        query = evolve(query, size=int(size))
    seen = request.headers.get("last-event-id") or given.get("after", "")
    known = int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 19 else None
    return StreamingResponse(
        _changes(parts, lists(request), query, known), media_type="text/event-stream"
    )


async def _changes(
    parts: Services, kept: Lists, query: ListQuery, known: int | None
) -> AsyncIterator[str]:
    sent: dict[str, Markup] = {}
    if known == parts.feed.count:
        sent = kept.read(parts, query).rows
    async for count in parts.feed.changes(known):
        if count is None:
            yield KEEP_ALIVE_COMMENT
            continue
        found = kept.read(parts, query)
        data = kept.change(sent, found)
        sent = found.rows
        yield event("rows", str(count), data)


ROUTES: Final = [Route("/rows/events", list_events)]
