"""Server-sent events for the script of the pages.

New text of logs and streamed outputs is sent in the events. For every other change, an event only
says that something changed, and the script fetches the page again.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dashscope.local.http.routes.streams import event
from dashscope.local.http.services import services
from dashscope.local.jobs.change_feed import KEEP_ALIVE
from dashscope.local.jobs.runs import Run
from dashscope.local.pages.display import TEXT_LIMIT
from dashscope.local.pages.jobs import KINDS, find
from dashscope.local.pages.lists import KEEP_ALIVE_COMMENT
from dashscope.local.pages.result import concatenates, progress_of

PACE: Final = 0.05
"""Minimum seconds between two events of a job. Changes in between are combined."""


_PLACE: Final = re.compile(r"([0-9]{1,12})-([0-9]{1,12})(?:-(starting|processing))?(-end)?")


def _seen(request: Request) -> str:
    """Return the id of the last event that the browser has received."""
    return request.headers.get("last-event-id") or request.query_params.get("after", "")


async def job_events(request: Request) -> Response:
    """Return the events of a job, starting after the state that the page shows."""
    parts = services(request)
    job = find(request)
    place = _PLACE.fullmatch(_seen(request))
    if place and place[4]:
        # A 204 ends a browser's EventSource, which would otherwise reconnect forever.
        return Response(status_code=HTTPStatus.NO_CONTENT)
    run = parts.engine.run_of(job.id)
    if run is None:
        return _stream(ended())
    output, log, status = (int(place[1]), int(place[2]), place[3]) if place else (0, 0, None)
    return _stream(follow(run, output, log, status, as_text=concatenates(parts, job)))


async def ended() -> AsyncIterator[str]:
    """Yield the event for a finished job."""
    yield event("end", "0-0-end", "")


async def follow(
    run: Run, output: int, log: int, status: str | None, *, as_text: bool
) -> AsyncIterator[str]:
    """Yield the events of a run, starting after ``output`` parts and ``log`` characters."""
    progress: int | None = None
    length = sum(map(len, texts(run.parts_json()[:output]))) if as_text else 0
    while True:
        changed = run.next_change
        over = run.finished.is_set()
        # The id of each event counts exactly what was sent so far, because the connection may
        # break between any two events.
        if run.log.end > log:
            piece, log = run.log.since(log)[-TEXT_LIMIT:], run.log.end
            yield event("log", f"{output}-{log}", growth(piece, log))
            if (percent := progress_of(run.log.since(log - 1000))) not in {None, progress}:
                progress = percent
                yield event("progress", f"{output}-{log}", str(percent))
        if new := run.parts_json()[output:]:
            output += len(new)
            piece = "".join(texts(new)) if as_text else ""
            length += len(piece)
            name, data = ("text", growth(piece, length)) if as_text else ("changed", "")
            yield event(name, f"{output}-{log}", data)
        if run.job.status != status and not over:
            status = run.job.status
            yield event("changed", f"{output}-{log}", "")
        if over:
            # A queued job continues after a restart of the server, so its events do not end here.
            if run.job.finished:
                yield event("end", f"{output}-{log}-end", "")
            return
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                await changed.wait()
        except TimeoutError:
            yield KEEP_ALIVE_COMMENT
        await asyncio.sleep(PACE)


def texts(parts: list[str]) -> list[str]:
    """Return the parts of an output as text."""
    return [str(json.loads(part)) for part in parts]


def growth(text: str, end: int) -> str:
    """Encode a piece of text and its position in the whole text."""
    return json.dumps({"from": end - len(text), "to": end, "text": text})


async def all_events(request: Request) -> Response:
    """Return an event whenever a list has changed."""
    seen = _seen(request)
    feed = services(request).feed

    async def events() -> AsyncIterator[str]:
        async for count in feed.changes(int(seen) if re.fullmatch("[0-9]{1,18}", seen) else None):
            yield KEEP_ALIVE_COMMENT if count is None else event("changed", str(count), "")

    return _stream(events())


def _stream(events: AsyncIterator[str]) -> StreamingResponse:
    return StreamingResponse(events, media_type="text/event-stream")


ROUTES: Final = [
    Route("/events", all_events),
    *(Route(f"/{kind}s/{{job_id}}/events", job_events) for kind in KINDS),
]
