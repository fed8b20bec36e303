"""A service whose predictions take as long as a test says, and whose lists are as a test says."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attrs import define, evolve, field

from tests.fake_server import FakeServer, Received, Reply, reply

PAGE = 100


@define
class Made:
    """A prediction of the service's."""

    id: str
    input: Mapping[str, Any]
    created: float
    created_at: datetime
    seconds: float
    model: str
    canceled: float | None = None
    removed: bool = False

    @property
    def is_over(self) -> bool:
        return self.canceled is not None or time.monotonic() >= self.created + self.seconds

    @property
    def status(self) -> str:
        if self.canceled is not None:
            return "canceled"
        if not self.is_over:
            return "processing"
        return "failed" if self.input.get("fail") else "succeeded"

    def document(self) -> dict[str, Any]:
        status = self.status
        document = {
            "id": self.id,
            "model": self.model,
            "version": "v1",
            "status": status,
            "input": {} if self.removed else self.input,
            "output": self.input.get("value")
            if status == "succeeded" and not self.removed
            else None,
            "error": self.input.get("fail") if status == "failed" else None,
            "logs": "",
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
            "data_removed": self.removed,
            "urls": {},
        }
        if self.is_over:
            document["metrics"] = {"predict_time": self.seconds}
        return document


@define
class Service:
    """The service: `made` is what was created, `asked` what it was asked.

    Attributes:
        seconds: how long a prediction takes, by its input.
        ahead: How far the service's clock is ahead of ours.
        left_out: fields that a list leaves out.
        lists: what a list answers instead, where that is set.
        foreign: other predictions of the account that a list shows before each of ours.
        interferes: an answer before anything else, by the request.
    """

    fake_server: FakeServer
    seconds: Callable[[Mapping[str, Any]], float] = lambda _: 0.0
    ahead: timedelta = timedelta(0)
    left_out: tuple[str, ...] = ()
    lists: Reply | None = None
    foreign: int = 0
    interferes: Callable[[Received], Reply | None] = lambda _: None
    made: list[Made] = field(factory=list)
    most_running: int = 0
    canceled: list[str] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)
    _ids: Any = field(factory=itertools.count)
    _last: datetime = field(factory=lambda: datetime.min.replace(tzinfo=UTC))

    def __attrs_post_init__(self) -> None:
        self.fake_server.respond_with(self._answer)

    @property
    def asked(self) -> dict[str, int]:
        """How often each kind of request was made."""
        kinds = {"create": 0, "list": 0, "get": 0, "cancel": 0}
        for received in list(self.fake_server.requests):
            kinds[_kind(received)] += 1
        return kinds

    @property
    def values(self) -> list[Any]:
        """What the predictions were created with, in order."""
        return [one.input.get("value") for one in self.made]

    def _answer(self, received: Received) -> Reply:
        instead = self.interferes(received)
        answer = self._answer_as_usual(received) if instead is None else instead
        date = format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)
        return evolve(answer, headers={"date": date, **answer.headers})

    def _answer_as_usual(self, received: Received) -> Reply:
        kind, path = _kind(received), urlsplit(received.path).path
        with self._lock:
            if kind == "create":
                return reply(self.create(received.json["input"], _model(path)).document(), 201)
            if kind == "list":
                return self.lists or self._list(parse_qs(urlsplit(received.path).query))
            one = self._find(path.removesuffix("/cancel").rpartition("/")[2])
            if one is None:
                return reply({"detail": "There is none."}, 404)
            if kind == "cancel" and not one.is_over:
                one.canceled = time.monotonic()
                self.canceled.append(one.id)
            return reply(one.document())

    def create(self, input: Mapping[str, Any], model: str = "owner/name") -> Made:
        """Create a prediction."""
        now = datetime.now(UTC) + self.ahead
        self._last = max(self._last + timedelta(microseconds=1), now)
        made = Made(
            id=f"p{next(self._ids)}",
            input=input,
            created=time.monotonic(),
            created_at=self._last,
            seconds=self.seconds(input),
            model=model,
        )
        self.made.append(made)
        self.most_running = max(self.most_running, sum(not one.is_over for one in self.made[-500:]))
        return made

    def _find(self, id: str) -> Made | None:
        return next((one for one in self.made if one.id == id), None)

    def _list(self, query: Mapping[str, list[str]]) -> Reply:
        since = query.get("created_after")
        start = int(query.get("cursor", ["0"])[0])
        first = datetime.fromisoformat(since[0]) if since else None
        shown: list[dict[str, Any]] = []
        for one in reversed(self.made):
            if first is not None and one.created_at < first:
                break
            for number in range(self.foreign):
                other = {**one.document(), "id": f"other-{one.id}-{number}", "model": "other/model"}
                shown.append(other)
            shown.append(one.document())
        page = [
            {name: value for name, value in document.items() if name not in self.left_out}
            for document in shown[start : start + PAGE]
        ]
        more = len(shown) > start + PAGE
        next_url = f"http://elsewhere/v1/predictions?cursor={start + PAGE}"
        if since and more:
            next_url += f"&created_after={since[0].replace('+', '%2B')}"
        return reply({"next": next_url if more else None, "previous": None, "results": page})


def _kind(received: Received) -> str:
    path = urlsplit(received.path).path
    if received.method == "POST":
        return "cancel" if path.endswith("/cancel") else "create"
    return "list" if path == "/v1/predictions" else "get"


def _model(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[3:5]) if parts[2] == "models" else "owner/name"
