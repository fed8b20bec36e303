"""Webhooks: sends the events of a job to the URL given at its creation.

Each delivery is a row of the outbox, written in the transaction of the event and deleted once the
receiver has accepted it. Neither a slow receiver nor a restart of the server loses a delivery.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, Final, Protocol, runtime_checkable
from weakref import WeakValueDictionary

import httpx
from attrs import frozen

from dashscope._common import random
from dashscope.local.jobs.runs import Run
from dashscope.local.store import Store
from dashscope.local.store.deliveries import Delivery
from dashscope.local.values import ORIGIN, Job, now, timestamp
from dashscope.webhooks import sign

logger = logging.getLogger("dashscope.local")

DEFAULT_EVENTS: Final = ("output", "completed")
INTERVAL: Final = 0.5
"""Minimum seconds between two ``output`` or ``logs`` deliveries of a job."""

ATTEMPTS: Final = 10
MIN_DELAY: Final = 0.5
MAX_DELAY: Final = 60.0
TIMEOUT: Final = 10.0
"""Seconds to wait for the response of a receiver."""

MAX_IN_FLIGHT: Final = 8
"""Maximum number of requests in flight to one receiver."""

MAX_KEPT_ATTEMPTS: Final = 1000
KEPT_PAYLOAD: Final = 16_000
"""Characters of a payload that are kept for the webhooks page."""

KEPT_RESPONSE: Final = 2000
"""Bytes of a receiver's response that are kept for the webhooks page."""


@frozen(kw_only=True)
class Attempt:
    """An attempt to make a delivery. ``problem`` says why it failed, or is None."""

    id: str
    job: str
    event: str
    url: str
    at: str
    number: int
    problem: str | None
    payload: str
    response: str
    seconds: float


@frozen(kw_only=True)
class Result:
    """What the receiver of a delivery returned. ``problem`` says why it failed, or is None."""

    problem: str | None = None
    response: str = ""


@runtime_checkable
class JobRenderer(Protocol):
    """Writes jobs as JSON for one address of the server."""

    def job(self, job: Job, run: Run | None = None) -> dict[str, Any]:
        """Return a prediction or training as the API represents it."""
        ...

    def localize(self, text: str) -> str:
        """Return stored text with the server's address in its URLs."""
        ...


def retry_delay(attempts: int) -> float:
    """Return the jittered seconds to wait after a number of failed attempts."""
    longest = min(MAX_DELAY, MIN_DELAY * 2.0 ** (attempts - 1))
    return longest * (0.5 + random.chance() / 2)


class Webhooks:
    """Adds deliveries to the outbox and sends them in the background."""

    def __init__(self, store: Store, stored: JobRenderer, sent: JobRenderer, secret: str) -> None:
        self._store = store
        self._stored = stored
        self._sent = sent
        self._secret = secret
        self._progress_sent_at: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._in_flight: dict[str, int] = {}
        # One queue per receiver, so that a slow receiver does not delay the others.
        self._queues: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self.attempts: deque[Attempt] = deque(maxlen=MAX_KEPT_ATTEMPTS)
        self.listeners: list[Callable[[], None]] = []
        self._client: httpx.AsyncClient | None = None

    def start(self) -> None:
        """Resume the deliveries that an earlier server left in the outbox."""
        for job_id in self._store.deliveries.jobs():
            self._deliver(job_id)

    async def stop(self) -> None:
        """Stop sending. Remaining deliveries stay in the outbox."""
        for timer in self._timers.values():
            timer.cancel()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def on_event(self, run: Run, event: str) -> None:
        """Add the delivery for an event of a run, in the transaction that records the event."""
        if event == "completed":
            self._progress_sent_at.pop(run.job.id, None)
            if timer := self._timers.pop(run.job.id, None):
                timer.cancel()
        if run.job.webhook is None or event not in wanted(run.job):
            return
        if event in {"start", "completed"}:
            self._add(run, event)
            return
        wait = self._progress_sent_at.get(run.job.id, -inf) + INTERVAL - time.monotonic()
        if wait <= 0:
            self._add_progress(run, event)
        elif run.job.id not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[run.job.id] = loop.call_later(wait, self._add_progress, run, event)

    def _add_progress(self, run: Run, event: str) -> None:
        self._timers.pop(run.job.id, None)
        self._progress_sent_at[run.job.id] = time.monotonic()
        # Deliveries queued behind a slow receiver are outdated: the new one contains everything.
        self._store.deliveries.drop_progress(run.job.id, self._in_flight.get(run.job.id, 0))
        self._add(run, event)

    def _add(self, run: Run, event: str) -> None:
        body = self._body(run.job, run)
        self._store.deliveries.add(run.job.id, event, run.job.webhook or "", body)
        self._deliver(run.job.id)

    def _body(self, job: Job, run: Run | None) -> str:
        body = json.dumps(self._stored.job(job, run))
        return body.replace(ORIGIN, job.address) if job.address is not None else body

    def resend(self, attempt: Attempt, job: Job, run: Run | None) -> None:
        """Send an event again, with the current state of its job and the id of the first delivery.

        A delivery that is still pending does not change: it will be retried anyway.
        """
        if self._store.deliveries.is_pending(attempt.id):
            return
        body = self._body(job, run)
        self._store.deliveries.add(job.id, attempt.event, attempt.url, body, attempt.id)
        self._deliver(job.id)

    def _deliver(self, job_id: str) -> None:
        if job_id not in self._tasks:
            self._tasks[job_id] = asyncio.create_task(self._deliver_all(job_id))

    async def _deliver_all(self, job_id: str) -> None:
        """Make the deliveries of a job in order. Retry each until it is accepted or given up."""
        try:
            while (delivery := self._store.deliveries.next_of(job_id)) is not None:
                self._in_flight[job_id] = delivery.seq
                async with self._queue(delivery.url):
                    began = time.monotonic()
                    result = await self._send(delivery)
                self._note(delivery, result, time.monotonic() - began)
                problem = result.problem
                if problem is None or delivery.attempts + 1 >= ATTEMPTS:
                    self._store.deliveries.delete(delivery)
                    if problem is not None:
                        logger.warning("webhook %s given up: %s", delivery.id, problem)
                    continue
                self._store.deliveries.count_attempt(delivery)
                logger.info("webhook %s will be retried: %s", delivery.id, problem)
                await asyncio.sleep(retry_delay(delivery.attempts + 1))
        finally:
            self._tasks.pop(job_id, None)
            self._in_flight.pop(job_id, None)

    def _queue(self, url: str) -> asyncio.Semaphore:
        receiver = url.split("/", 3)[2].lower()
        queue = self._queues.get(receiver)
        if queue is None:
            self._queues[receiver] = queue = asyncio.Semaphore(MAX_IN_FLIGHT)
        return queue

    def attempts_of(self, job_id: str) -> list[Attempt]:
        """Return the attempts for a job, among the last 1,000 attempts of the server."""
        return [attempt for attempt in self.attempts if attempt.job == job_id]

    def _note(self, delivery: Delivery, result: Result, seconds: float) -> None:
        self.attempts.append(
            Attempt(
                id=delivery.id,
                job=delivery.job,
                event=delivery.event,
                url=delivery.url,
                at=timestamp(now()),
                number=delivery.attempts + 1,
                problem=result.problem,
                payload=self._sent.localize(delivery.body[:KEPT_PAYLOAD]),
                response=result.response,
                seconds=seconds,
            )
        )
        for listener in self.listeners:
            listener()

    async def _send(self, delivery: Delivery) -> Result:
        """Make one attempt."""
        body = self._sent.localize(delivery.body).encode()
        signed = sign(body, self._secret, id=delivery.id)
        headers = {"content-type": "application/json", **signed}
        if self._client is None:
            # Requests to loopback addresses never use a proxy from the environment.
            here = ("all://127.0.0.1", "all://localhost", "all://[::1]")
            direct: dict[str, None] = dict.fromkeys(here)
            self._client = httpx.AsyncClient(
                follow_redirects=False,
                timeout=TIMEOUT,
                mounts=direct,
                # The queues limit the requests. A limit here would couple the receivers again.
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
            )
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._client.stream(
                    "POST", delivery.url, content=body, headers=headers
                ) as response,
            ):
                said = f"{response.status_code} {response.reason_phrase}\n"
                async for chunk in response.aiter_bytes(KEPT_RESPONSE):
                    said += chunk.decode(errors="replace")
                    break
                problem = f"the receiver returned {response.status_code}"
                return Result(problem=None if response.is_success else problem, response=said)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            return Result(problem=f"{type(error).__name__} {error}".strip())


def wanted(job: Job) -> list[str] | tuple[str, ...]:
    """Return the events for which a job's webhook is called."""
    if job.webhook_events is None:
        return DEFAULT_EVENTS
    events: list[str] = json.loads(job.webhook_events)
    return events
