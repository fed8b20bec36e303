"""``urls.stream``: a prediction's output and logs as server-sent events.

The id of an event counts the output parts and log characters sent so far. A client that reconnects
receives the rest of both, even after the prediction has finished or the server has restarted.
"""

import asyncio
import hmac
import json
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dashscope.local.http.problems import not_found
from dashscope.local.http.render import Renderer
from dashscope.local.http.services import services
from dashscope.local.jobs.runs import Run, finished_run

KEEP_ALIVE: Final = 15.0
"""Seconds without an event after which a comment is sent to keep the connection open."""

_ID: Final = re.compile(r"([0-9]{1,12})-([0-9]{1,12})(-end)?")


async def stream_prediction(request: Request) -> Response:
    """Return the events of a prediction. The URL contains a secret instead of a token."""
    parts = services(request)
    job_id: str = request.path_params["prediction_id"]
    token: str = request.path_params["token"]
    job = parts.store.jobs.get(job_id, "prediction")
    right = hmac.compare_digest(token.encode(), parts.signer.stream_token(job_id).encode())
    if job is None or not right:
        raise not_found("Stream")
    seen = _ID.fullmatch(request.headers.get("last-event-id", ""))
    if seen and seen[3]:
        # A 204 ends a browser's EventSource, which would otherwise reconnect forever.
        return Response(status_code=HTTPStatus.NO_CONTENT)
    output, log = (int(seen[1]), int(seen[2])) if seen else (0, 0)
    run = parts.engine.run_of(job_id) or finished_run(job)
    return StreamingResponse(
        events(run, parts.renderer, output, log),
        media_type="text/event-stream",
        headers={"cache-control": "no-store"},
    )


async def events(run: Run, renderer: Renderer, output: int, log: int) -> AsyncIterator[str]:
    """Yield a run's events, starting after ``output`` parts and ``log`` characters."""
    while True:
        changed = run.next_change
        ended = run.finished.is_set()
        if text := run.log.since(log):
            log = run.log.end
            yield event("logs", f"{output}-{log}", text)
        for part in run.parts_json()[output:]:
            output += 1
            value: object = json.loads(renderer.localize(part))
            text = value if isinstance(value, str) else json.dumps(value)
            yield event("output", f"{output}-{log}", text)
        if ended:
            break
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                await changed.wait()
        except TimeoutError:
            yield ": still here\n\n"
    if run.job.finished:
        for name, data in ending(run):
            yield event(name, f"{output}-{log}-end", data)


def ending(run: Run) -> list[tuple[str, str]]:
    """Return the last events of a stream."""
    match run.job.status:
        case "succeeded":
            return [("done", "{}")]
        case "failed":
            error = json.dumps({"detail": run.job.error})
            return [("error", error), ("done", json.dumps({"reason": "error"}))]
        case _:
            return [("done", json.dumps({"reason": "canceled"}))]


def event(name: str, identity: str, data: str) -> str:
    """Format one event. Each line of the data becomes one ``data:`` line."""
    lines = "".join(f"data: {line}\n" for line in re.split(r"\r\n|\r|\n", data))
    return f"event: {name}\nid: {identity}\n{lines}\n"


ROUTES: Final = [Route("/streams/{prediction_id}/{token}", stream_prediction)]
