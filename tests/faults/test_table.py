"""Every operation with every fault: the result, and how often the server executes it.

The expected result depends only on the effect of the fault, and on whether the operation is
idempotent.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import attrs
import pytest
from attrs import frozen

from dashscope import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    Request,
)
from dashscope._errors import status_error_type
from dashscope._runtime.drive import drive
from tests import flavors
from tests.files.test_files import SIGNED
from tests.resources.contract import FILE, FULL, OPERATIONS
from tests.servers.fake_server import FakeServer, Received, Reply, reply
from tests.servers.fault_proxy import Fault, Proxy
from tests.servers.faults import (
    BROKEN,
    CORRUPT,
    ERROR_STATUSES,
    HARMLESS,
    STALLS,
    Effect,
    FaultCase,
)

pytestmark = [pytest.mark.usefixtures("no_jitter")]

CONTENT = bytes(range(256)) * 8
READ_TIMEOUT = 0.3
"""The read timeout for stalled connections, in seconds."""


@frozen
class Subject:
    """An operation in the table.

    Attributes:
        name: The name of the operation.
        call: Calls the operation.
        repeatable: Whether it may be retried if it may have been executed.
        creates: Whether it creates something that must not be created twice.
        answer: A valid response.
    """

    name: str
    call: Callable[[Any], Awaitable[Any]]
    answer: Reply
    repeatable: bool
    creates: bool


async def download(client: Any) -> None:
    async with client.files.download("f1", **SIGNED) as download:
        assert await download.read() == CONTENT


def subjects() -> list[Subject]:
    found = [
        Subject(
            operation.name,
            operation.call,
            Reply(operation.status)
            if operation.answer is None
            else reply(operation.answered(FULL), operation.status),
            repeatable=operation.method in ("GET", "QUERY", "DELETE")
            or operation.name.endswith(".cancel"),
            creates=operation.method == "POST" and operation.name.endswith(".create"),
        )
        for operation in OPERATIONS
    ]
    return [
        *found,
        Subject("files.create", lambda c: c.files.create(b"x"), reply(FILE, 201), True, False),
        Subject("files.download", download, Reply(200, {"etag": '"1"'}, CONTENT), True, False),
        Subject(
            "models.readme.get",
            lambda c: c.models.readme.get("acme", "hello-world"),
            Reply(200, {"content-type": "text/plain"}, b"# Hello"),
            True,
            False,
        ),
    ]


SUBJECTS = subjects()
SAMPLE = [
    subject
    for subject in SUBJECTS
    if subject.name
    in ("account.get", "deployments.update", "files.create", "files.delete", "files.download")
    or subject.name in ("models.create", "predictions.cancel", "predictions.create")
]
"""One operation of each kind."""
SAMPLE_STATUSES = [
    case for case in ERROR_STATUSES if case.status in (429, 503) or "retry" not in str(case)
]


def test_the_table_has_every_operation_of_each_kind() -> None:
    assert len(SUBJECTS) == 37
    assert len(SAMPLE) == 8
    assert sorted(s.name for s in SUBJECTS if s.creates) == [
        "deployments.create",
        "deployments.predictions.create",
        "models.create",
        "models.predictions.create",
        "predictions.create",
        "trainings.create",
    ]
    assert sorted(s.name for s in SUBJECTS if not s.creates and not s.repeatable) == [
        "deployments.update",
        "models.update",
    ]


@frozen(kw_only=True)
class Expected:
    """The expected result of a call.

    Attributes:
        error: The error class, or `None` for success.
        attempts: The number of attempts.
        unsure: Whether the error says that something may have been created.
    """

    error: type[APIError] | None = None
    attempts: int = 1
    unsure: bool = False


def expected(subject: Subject, case: FaultCase) -> Expected:
    """Return the expected result of an operation with a fault."""
    again = Expected(attempts=2)
    match case.effect:
        case Effect.NONE:
            return Expected()
        case Effect.NOT_SENT | Effect.DECLINED:
            return again
        case Effect.RETRY_LATER:
            return Expected(
                error=status_error_type(case.status or 0),
                unsure=subject.creates and case.status != 429,
            )
        case _ if (subject.name, str(case)) == ("files.download", "a length beyond the body"):
            # A retry gets another content length. Neither of them can be trusted.
            return Expected(error=APIConnectionError, attempts=2)
        case _ if subject.repeatable:
            return again
        case Effect.LOST:
            return Expected(error=APIConnectionError, unsure=subject.creates)
        case Effect.STALLED:
            return Expected(error=APITimeoutError, unsure=subject.creates)
        case Effect.FAILED:
            return Expected(error=status_error_type(case.status or 0), unsure=subject.creates)


class Table:
    """Runs calls with faults and reports unexpected results.

    Args:
        complete: Whether to run every operation with every fault. Otherwise, a sample of the
            operations is tested, half of the pairs with the sync client and half with the other.
    """

    def __init__(self, flavor: str, proxy: Proxy, server: FakeServer, *, complete: bool) -> None:
        self.complete = complete
        self._flavor = flavor
        self._proxy = proxy
        self._numbers = itertools.count()
        self._line = proxy.line()
        self._line.choose = self._choose
        self._line.ended = self._end
        self._line.listen()
        self._ended: dict[str, threading.Event] = defaultdict(threading.Event)
        self._faults: dict[str, deque[Fault]] = {}
        self._sent: Counter[str] = Counter()
        self._answers: dict[str, Reply] = {}
        self._carried_out: Counter[str] = Counter()
        server.respond_with(self._serve)

    def run(self, cases: Sequence[FaultCase]) -> None:
        """Run the operations with each of these faults, all concurrently."""
        subjects = SUBJECTS if self.complete else SAMPLE
        bodies = [
            self._body(subject, case)
            for row, case in enumerate(cases)
            for column, subject in enumerate(subjects)
            if self.complete or (row + column) % 2 == (self._flavor == "sync")
        ]
        problems = list(filter(None, run_at_once(self._flavor, bodies)))
        assert not problems, "\n".join(problems)

    def _choose(self, head: bytes) -> Fault | None:
        key = key_of(head.decode("latin-1").split(" ", 2)[1])
        if b"/warm " in head.partition(b"\r\n")[0]:
            return None
        self._sent[key] += 1
        faults = self._faults[key]
        return faults.popleft() if faults else None

    def _end(self, head: bytes) -> None:
        self._ended[key_of(head.decode("latin-1").split(" ", 2)[1])].set()

    def _serve(self, received: Received) -> Reply:
        key = key_of(received.path)
        if received.path.endswith("/warm"):
            return reply({})
        self._carried_out[key] += 1
        if received.method == "DELETE" and self._carried_out[key] > 1:
            return reply({"detail": "Not found."}, 404)
        answer = self._answers[key]
        if (start := re.match(r"bytes=(\d+)-", received.headers.get("Range", ""))) is not None:
            first = int(start[1])
            span = f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"
            headers = {**answer.headers, "content-range": span}
            return Reply(206, headers, CONTENT[first:])
        return answer

    def _body(self, subject: Subject, case: FaultCase) -> Callable[[], Awaitable[str | None]]:
        key = str(next(self._numbers))
        self._faults[key] = deque([case.fault])
        self._answers[key] = subject.answer
        polls = 0

        def check(request: Request) -> Request:
            nonlocal polls
            polls += 1
            hasty = case.effect is Effect.STALLED and polls == 1
            return attrs.evolve(request, read_timeout=READ_TIMEOUT if hasty else 60.0)

        async def body() -> str | None:
            client = flavors.make_client(
                self._flavor,
                base_url=f"{self._line.origin}/{key}/v1",
                event_hooks={"request": [check]},
            )
            try:
                if case.on_reused_connection:
                    await client.request("GET", "/warm")
                for turn in range(2 if case.between_requests else 1):
                    while turn == 1 and not self._ended[key].is_set():
                        await sleep(self._flavor)
                    self._carried_out[key] = 0
                    self._sent[key] = 0
                    try:
                        await subject.call(client)
                    except APIError as error:
                        got = Expected(
                            error=type(error),
                            attempts=self._sent[key],
                            unsure=error.may_have_been_created,
                        )
                        if error.attempts != self._sent[key]:
                            return f"{subject.name}, {case}: {error.attempts} attempts, it says"
                    except Exception as error:
                        return f"{subject.name}, {case}: {error!r}"
                    else:
                        got = Expected(attempts=self._sent[key])
                    if got != expected(subject, case):
                        return f"{subject.name}, {case}: {got}"
                    if subject.creates and self._carried_out[key] > 1:
                        return f"{subject.name}, {case}: carried out {self._carried_out[key]} times"
            finally:
                await client.aclose()
            return None

        return body


async def sleep(flavor: str) -> None:
    if flavor == "sync":
        time.sleep(0.005)
    else:
        await anyio.sleep(0.005)


def key_of(path: str) -> str:
    return path.split("/", 2)[1]


def run_at_once(
    flavor: str, bodies: Sequence[Callable[[], Awaitable[Any]]], *, most: int = 80
) -> list[Any]:
    """Run coroutine functions concurrently in a flavor, and return their results."""
    if flavor == "sync":
        with ThreadPoolExecutor(most) as pool:
            return list(pool.map(lambda body: drive(body()), bodies))
    results: list[Any] = [None] * len(bodies)

    async def main() -> None:
        slots = anyio.CapacityLimiter(most)

        async def one(index: int) -> None:
            async with slots:
                results[index] = await bodies[index]()

        async with anyio.create_task_group() as group:
            for index in range(len(bodies)):
                group.start_soon(one, index)

    flavors.run(flavor, main)
    return results


@pytest.fixture(params=["sample", pytest.param("all", marks=pytest.mark.soak)])
def table(request: pytest.FixtureRequest, flavor: str, proxy: Proxy, server: FakeServer) -> Table:
    return Table(flavor, proxy, server, complete=request.param == "all")


def test_broken_connections(table: Table) -> None:
    table.run(BROKEN)


def test_corrupt_responses(table: Table) -> None:
    table.run(CORRUPT)


def test_stalled_connections(table: Table) -> None:
    table.run(STALLS)


def test_harmless_faults(table: Table) -> None:
    table.run(HARMLESS)


def test_error_statuses(table: Table) -> None:
    table.run(ERROR_STATUSES if table.complete else SAMPLE_STATUSES)
