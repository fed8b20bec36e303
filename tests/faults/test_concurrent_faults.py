"""Many concurrent runs with faults in a tenth of all responses: each prediction is created once."""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest

from dashscope import APIError, Client, Request
from dashscope.local import LocalServer
from tests import flavors
from tests.faults.conftest import UNCLOSED_SSL_SOCKET
from tests.faults.test_table import run_at_once
from tests.servers.fault_proxy import Fault, Line, Proxy
from tests.servers.faults import (
    BROKEN,
    CORRUPT,
    ERROR_STATUSES,
    HARMLESS,
    STALLS,
    Effect,
    FaultCase,
)

pytestmark = UNCLOSED_SSL_SOCKET

MOST_IN_A_ROW = 3
READ_TIMEOUT = 1.5
"""The read timeout of idempotent requests, in seconds."""
MODEL = "dashscope/hello-world"

# Faults that take a second or more are left to the table.
QUICK = [
    case
    for case in [*BROKEN, *CORRUPT, *HARMLESS, *ERROR_STATUSES]
    if not case.on_reused_connection
    and case.effect is not Effect.RETRY_LATER
    and "a date to come" not in str(case)
]
# A connection that is closed between two requests may be used by the next create.
TO_ONE = [case for case in [*QUICK, *STALLS] if not case.between_requests]
DECLINED = [case for case in QUICK if case.effect is Effect.DECLINED]
UNSURE = [case for case in QUICK if case.effect in (Effect.LOST, Effect.FAILED)] + STALLS


class RandomFaults:
    """Chooses the fault of each request, by a seed.

    Attributes:
        share: The share of faulty responses.
        faults: The number of faults, by name.
        requests: The number of requests.
    """

    def __init__(
        self, seed: int, share: float, to_creates: list[FaultCase], to_others: list[FaultCase]
    ) -> None:
        self.share = share
        self._random = random.Random(seed)
        self._to_creates = to_creates
        self._to_others = to_others
        self._in_a_row: Counter[tuple[str, str]] = Counter()
        self.faults: Counter[str] = Counter()
        self.requests = 0

    def choose(self, head: bytes) -> Fault | None:
        self.requests += 1
        text = head.decode("latin-1")
        method, path, _ = text.split(" ", 2)
        run = text.lower().partition("\r\nx-run: ")[2].partition("\r\n")[0]
        operation = run, f"{method} {path}"
        if self._in_a_row[operation] >= MOST_IN_A_ROW or self._random.random() >= self.share:
            self._in_a_row[operation] = 0
            return None
        self._in_a_row[operation] += 1
        is_create = method == "POST" and path.endswith("/predictions")
        case = self._random.choice(self._to_creates if is_create else self._to_others)
        self.faults[f"{'create: ' if is_create else ''}{case}"] += 1
        return case.fault

    def greet(self) -> bool:
        """Return whether to reset a new connection."""
        broken = self._random.random() < self.share / 2
        self.faults["reset before the request"] += broken
        return broken


@pytest.fixture(scope="module")
def local() -> Iterator[LocalServer]:
    with LocalServer() as server, Client(base_url=server.base_url) as client:
        client.run(MODEL, {"text": "warm"})
        yield server


@pytest.fixture(scope="module")
def front(local: LocalServer) -> Iterator[Proxy]:
    proxy = Proxy(local.base_url)
    yield proxy
    proxy.close()


class ConnectionRefuser:
    """Refuse connections at the line for short times."""

    def __init__(self, line: Line, weather: RandomFaults) -> None:
        self._line = line
        self._weather = weather
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.2):
            self._line.refuse()
            self._weather.faults["refused for a moment"] += 1
            self._over.wait(0.01)
            self._line.listen()


class RunsWithFaults:
    """Runs through a line with random faults, and the resulting predictions of the server."""

    def __init__(
        self,
        flavor: str,
        line: Line,
        local: LocalServer,
        weather: RandomFaults,
        trusting_tls: ssl.SSLContext,
        *,
        read_timeout: Callable[[Request], float],
    ) -> None:
        self._flavor = flavor
        self._line = line
        self._local = local
        self._weather = weather
        self._trust = trusting_tls
        self._read_timeout = read_timeout
        line.listen()

    def run(self, runs: int, in_flight: int) -> list[Any]:
        """Return the output or the error of each run."""
        mark = f"{time.monotonic_ns()}"
        client = flavors.make_client(
            self._flavor,
            "r8_token",
            base_url=self._line.base_url,
            verify=self._trust,
            event_hooks={"request": [self._limit_delay]},
        )

        def body(number: int) -> Callable[[], Awaitable[Any]]:
            async def run() -> Any:
                view = client.with_options(headers={"X-Run": str(number)})
                try:
                    return await view.run(MODEL, {"text": f"{mark} {number}"})
                except APIError as error:
                    return error

            return run

        async def first() -> None:
            await client.predictions.list()

        async def close() -> None:
            await client.aclose()

        # The client gives up sooner if the server has never responded.
        run_at_once(self._flavor, [first])
        self._line.choose, self._line.greet = self._weather.choose, self._weather.greet
        started = time.monotonic()
        with ConnectionRefuser(self._line, self._weather):
            bodies = [body(number) for number in range(runs)]
            results = run_at_once(self._flavor, bodies, most=in_flight)
        took = time.monotonic() - started
        flavors.run(self._flavor, close)
        self.made = self._count(mark)
        weather = self._weather
        print(
            f"{self._flavor}: {runs} runs, {in_flight} in flight, in {took:.1f} s; "
            f"{weather.requests} requests, {weather.faults.total()} faults; "
            f"{sum(isinstance(result, APIError) for result in results)} errors, "
            f"{sum(self.made.values())} predictions"
        )
        self.right = [f"hello {mark} {number}" for number in range(runs)]
        return results

    def _limit_delay(self, request: Request) -> Request:
        return attrs.evolve(request, read_timeout=self._read_timeout(request))

    def _count(self, mark: str) -> Counter[int]:
        """Return the number of predictions of each run."""
        made: Counter[int] = Counter()
        with Client(base_url=self._local.base_url) as client:
            for prediction in client.iterate(client.predictions.list):
                of, _, number = (prediction.input or {})["text"].partition(" ")
                if of == mark:
                    made[int(number)] += 1
        return made


def storms(by_default: str) -> pytest.MarkDecorator:
    """Parametrize a test with storms: a small one of this flavor by default, others in soak.

    The share of faults is larger in a small storm, so that it has some of each kind.
    """
    soak = [pytest.mark.soak, pytest.mark.timeout(900)]
    return pytest.mark.parametrize(
        ("flavor", "runs", "in_flight", "share"),
        [
            pytest.param(flavor, *storm, id=f"{flavor}-{storm[0]}", marks=marks)
            for flavor in flavors.FLAVORS
            for storm, marks in (
                ((30, 30, 0.3), [] if flavor == by_default else soak),
                ((200, 50, 0.1), soak),
                ((2000, 200, 0.1), soak),
            )
        ],
    )


@storms(by_default="asyncio")
def test_every_run_succeeds_and_is_created_once(
    flavor: str,
    front: Proxy,
    local: LocalServer,
    tls: ssl.SSLContext,
    trusting_tls: ssl.SSLContext,
    runs: int,
    in_flight: int,
    share: float,
) -> None:
    def read_timeout(request: Request) -> float:
        # Under load a response takes longer, and a create must not time out.
        is_create = request.method == "POST" and request.url.endswith("/predictions")
        return 30.0 if is_create else READ_TIMEOUT

    weather = RandomFaults(4, share, DECLINED, TO_ONE)
    storm = RunsWithFaults(
        flavor, front.line(tls=tls), local, weather, trusting_tls, read_timeout=read_timeout
    )
    assert storm.run(runs, in_flight) == storm.right
    assert storm.made == Counter(range(runs))
    assert weather.faults.total() > weather.requests * share / 2


@storms(by_default="sync")
def test_if_a_create_may_be_lost_run_succeeds_or_reports_it(
    flavor: str,
    front: Proxy,
    local: LocalServer,
    tls: ssl.SSLContext,
    trusting_tls: ssl.SSLContext,
    runs: int,
    in_flight: int,
    share: float,
) -> None:
    weather = RandomFaults(5, share, UNSURE, [*QUICK, *STALLS])
    storm = RunsWithFaults(
        flavor,
        front.line(tls=tls),
        local,
        weather,
        trusting_tls,
        read_timeout=lambda _: READ_TIMEOUT,
    )
    results = storm.run(runs, in_flight)
    for number, (result, right) in enumerate(zip(results, storm.right, strict=True)):
        if isinstance(result, APIError):
            assert result.may_have_been_created
            assert storm.made[number] <= 1
        else:
            assert result == right
            assert storm.made[number] == 1
    assert 0 < sum(isinstance(result, APIError) for result in results) < 2.5 * share * runs
