"""`Service`: a fake service whose predictions and lists a test controls."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from attrs import define, evolve, field

from tests.servers.fake_server import FakeServer, Received, Reply, reply

PAGE_SIZE = 100


@define
class ServedPrediction:
    """A prediction of the service.

    Attributes:
        started: Monotonic time of the create.
        seconds: How long the prediction runs.
        canceled: Monotonic time of the cancel.
        removed: Whether the service has removed its input and output.
    """

    id: str
    input: Mapping[str, Any]
    started: float
    created_at: datetime
    seconds: float
    model: str
    canceled: float | None = None
    removed: bool = False

    @property
    def is_finished(self) -> bool:
        return self.canceled is not None or time.monotonic() >= self.started + self.seconds

    @property
    def status(self) -> str:
        if self.canceled is not None:
            return "canceled"
        if not self.is_finished:
            return "processing"
        return "failed" if self.input.get("fail") else "succeeded"

    def document(self) -> dict[str, Any]:
        status = self.status
        has_output = status == "succeeded" and not self.removed
        document = {
            "id": self.id,
            "model": self.model,
            "version": "v1",
            "status": status,
            "input": {} if self.removed else self.input,
            "output": self.input.get("value") if has_output else None,
            "error": self.input.get("fail") if status == "failed" else None,
            "logs": "",
            "created_at": self.created_at.isoformat().replace("+00:00", "Z"),
            "data_removed": self.removed,
            "urls": {},
        }
        if self.is_finished:
            document["metrics"] = {"predict_time": self.seconds}
        return document


@define
class Service:
    """A service whose predictions output the `value` of their input, or `fail` with its text.

    Attributes:
        seconds: Returns how long a prediction runs, by its input.
        ahead: How far the service's clock is ahead of ours.
        omitted_from_lists: Fields that lists omit.
        lists: Replaces the response to list requests.
        foreign: Number of other predictions that lists show before each of ours.
        override: Returns a response that replaces the usual one, or `None`.
        created: All predictions, in order.
        canceled: Ids of canceled predictions.
        most_running: The largest number of predictions that ran at the same time.
    """

    fake_server: FakeServer
    seconds: Callable[[Mapping[str, Any]], float] = lambda _: 0.0
    ahead: timedelta = timedelta(0)
    omitted_from_lists: tuple[str, ...] = ()
    lists: Reply | None = None
    foreign: int = 0
    override: Callable[[Received], Reply | None] = lambda _: None
    created: list[ServedPrediction] = field(factory=list)
    most_running: int = 0
    canceled: list[str] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)
    _ids: Any = field(factory=itertools.count)
    _last: datetime = field(factory=lambda: datetime.min.replace(tzinfo=UTC))

    def __attrs_post_init__(self) -> None:
        self.fake_server.respond_with(self._respond)

    @classmethod
    def with_schema(cls, fake_server: FakeServer, properties: Mapping[str, Any]) -> Self:
        """Return a service whose model has a schema with these input properties."""
        schemas = {"Input": {"type": "object", "properties": properties}, "Output": {}}
        version = {
            "id": "v1",
            "created_at": "2026-01-01T00:00:00Z",
            "cog_version": "0.9",
            "openapi_schema": {"components": {"schemas": schemas}},
        }
        model = {"owner": "owner", "name": "name", "url": "", "latest_version": version}
        return cls(
            fake_server,
            override=lambda received: (
                reply(model) if received.path == "/v1/models/owner/name" else None
            ),
        )

    @property
    def request_counts(self) -> dict[str, int]:
        """The number of requests by kind."""
        counts = {"create": 0, "list": 0, "get": 0, "cancel": 0}
        for received in list(self.fake_server.requests):
            counts[_kind(received)] += 1
        return counts

    @property
    def values(self) -> list[Any]:
        """The `value` of each prediction's input, in order."""
        return [prediction.input.get("value") for prediction in self.created]

    def create(self, input: Mapping[str, Any], model: str = "owner/name") -> ServedPrediction:
        """Create a prediction."""
        now = datetime.now(UTC) + self.ahead
        self._last = max(self._last + timedelta(microseconds=1), now)
        prediction = ServedPrediction(
            id=f"p{next(self._ids)}",
            input=input,
            started=time.monotonic(),
            created_at=self._last,
            seconds=self.seconds(input),
            model=model,
        )
        self.created.append(prediction)
        running = sum(not created.is_finished for created in self.created[-500:])
        self.most_running = max(self.most_running, running)
        return prediction

    def _respond(self, received: Received) -> Reply:
        response = self.override(received) or self._usual_response(received)
        date = format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)
        return evolve(response, headers={"date": date, **response.headers})

    def _usual_response(self, received: Received) -> Reply:
        kind, path = _kind(received), urlsplit(received.path).path
        with self._lock:
            if kind == "create":
                return reply(self.create(received.json["input"], _model(path)).document(), 201)
            if kind == "list":
                return self.lists or self._list(parse_qs(urlsplit(received.path).query))
            prediction = self._find(path.removesuffix("/cancel").rpartition("/")[2])
            if prediction is None:
                return reply({"detail": "Not found."}, 404)
            if kind == "cancel" and not prediction.is_finished:
                prediction.canceled = time.monotonic()
                self.canceled.append(prediction.id)
            return reply(prediction.document())

    def _find(self, id: str) -> ServedPrediction | None:
        return next((created for created in self.created if created.id == id), None)

    def _list(self, query: Mapping[str, list[str]]) -> Reply:
        since = query.get("created_after")
        start = int(query.get("cursor", ["0"])[0])
        first = datetime.fromisoformat(since[0]) if since else None
        documents: list[dict[str, Any]] = []
        for created in reversed(self.created):
            if first is not None and created.created_at < first:
                break
            document = created.document()
            for number in range(self.foreign):
                foreign_id = f"other-{created.id}-{number}"
                documents.append({**document, "id": foreign_id, "model": "other/model"})
            documents.append(document)
        page = [
            {name: value for name, value in item.items() if name not in self.omitted_from_lists}
            for item in documents[start : start + PAGE_SIZE]
        ]
        has_more = len(documents) > start + PAGE_SIZE
        next_url = f"http://elsewhere/v1/predictions?cursor={start + PAGE_SIZE}"
        if since and has_more:
            next_url += f"&created_after={since[0].replace('+', '%2B')}"
        return reply({"next": next_url if has_more else None, "previous": None, "results": page})


def _kind(received: Received) -> str:
    path = urlsplit(received.path).path
    if received.method == "POST":
        return "cancel" if path.endswith("/cancel") else "create"
    return "list" if path == "/v1/predictions" else "get"


def _model(path: str) -> str:
    parts = path.split("/")
    return "/".join(parts[3:5]) if parts[2] == "models" else "owner/name"
