"""Live updates of the pages: growing text and other changes."""

import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, connect_sse

from dashscope.local import LocalServer
from tests.local.conftest import MODELS
from tests.local.page.conftest import Parsed
from tests.stopwatch import Stopwatch
from tests.waiting import wait_for_status

Run = Callable[..., dict[str, Any]]


@contextmanager
def listening(
    web: httpx.Client, path: str, seen: str | None = None
) -> Iterator[Iterator[ServerSentEvent]]:
    headers = {"Last-Event-ID": seen} if seen is not None else {}
    with connect_sse(web, "GET", path, headers=headers) as source:
        assert source.response.status_code == 200
        yield source.iter_sse()


def events_of(web: httpx.Client, prediction: dict[str, Any]) -> str:
    """Return the URL of the events of a prediction's page, from its current state on."""
    return Parsed(web.get(prediction["urls"]["web"])).by_id("main")["data-events"]


def grows(events: list[ServerSentEvent], name: str, whole: str) -> bool:
    """Return whether the pieces form a text from an offset, and each has its position."""
    pieces = [json.loads(event.data) for event in events if event.event == name]
    assert all(whole[piece["from"] : piece["to"]] == piece["text"] for piece in pieces)
    edges = [(piece["from"], piece["to"]) for piece in pieces]
    return edges[-1][1] == len(whole) and all(
        before[1] == after[0] for before, after in itertools.pairwise(edges)
    )


class TestJobEvents:
    def test_sends_text_and_logs_as_they_grow(
        self, web: httpx.Client, create: Run, tmp_path: Path
    ) -> None:
        file = tmp_path / "released"
        prediction = create("test/released", file=str(file), count=20)
        with listening(web, events_of(web, prediction)) as heard:
            file.write_bytes(bytes(20))
            events = list(heard)
        assert events[-1].event == "end"
        page = Parsed(web.get(prediction["urls"]["web"]))
        assert grows(events, "text", "".join(f"{number} " for number in range(20)))
        assert grows(events, "log", "".join(f"part {number}\n" for number in range(20)))
        assert "data-events" not in page.by_id("main")
        # Chunks that arrive together are sent as one event.
        assert len([event for event in events if event.event == "text"]) < 20

    def test_resumes_after_an_interruption(
        self, web: httpx.Client, create: Run, tmp_path: Path
    ) -> None:
        file = tmp_path / "released"
        prediction = create("test/released", file=str(file), count=30)
        path = events_of(web, prediction)
        first: list[ServerSentEvent] = []
        # Once after each kind of event.
        for number, name in enumerate(("log", "text", "log"), start=1):
            with listening(web, path, first[-1].id if first else None) as heard:
                file.write_bytes(bytes(5 * number))
                for event in heard:
                    first.append(event)
                    if event.event == name:
                        break
        with listening(web, path, first[-1].id) as heard:
            file.write_bytes(bytes(30))
            second = list(heard)
        assert grows([*first, *second], "log", "".join(f"part {number}\n" for number in range(30)))
        assert grows([*first, *second], "text", "".join(f"{number} " for number in range(30)))

    def test_sends_other_changes(self, web: httpx.Client, http: httpx.Client, create: Run) -> None:
        prediction = create("test/sleep", seconds=60)
        with listening(web, events_of(web, prediction)) as heard:
            assert next(event.event for event in heard if event.event != "log") == "changed"
            http.post(prediction["urls"]["cancel"])
            assert [event.event for event in heard if event.event != "log"][-1] == "end"

    def test_sends_progress(self, web: httpx.Client, create: Run, tmp_path: Path) -> None:
        file = tmp_path / "released"
        prediction = create("test/released", file=str(file), count=9, percent=True)
        with listening(web, events_of(web, prediction)) as heard:
            file.write_bytes(bytes(9))
            message = [int(event.data) for event in heard if event.event == "progress"]
        assert message == sorted(message)
        assert message[-1] == 100

    def test_a_finished_job_sends_one_event(self, web: httpx.Client, run: Run) -> None:
        path = f"/web/predictions/{run('test/pid')['id']}/events"
        with listening(web, path) as heard:
            (event,) = heard
        assert event.event == "end"
        assert web.get(path, headers={"Last-Event-ID": event.id}).status_code == 204

    def test_events_are_throttled(self, web: httpx.Client, create: Run) -> None:
        prediction = create("test/floods", megabytes=20)
        with listening(web, events_of(web, prediction)) as heard:
            events = list(heard)
        assert sum(len(event.data) for event in events) < 10_000_000
        assert max(len(event.data) for event in events) < 200_000
        page = web.get(prediction["urls"]["web"])
        assert "the last line" in page.text
        assert "earlier characters are not shown here" in page.text
        assert len(page.text) < 250_000

    def test_trainings_have_events(self, web: httpx.Client, http: httpx.Client) -> None:
        destination = {"input:": "", "destination": "local/page-slow"}
        page = web.post("/web/models/test/slow-train/train", data=destination).headers["location"]
        with listening(web, Parsed(web.get(page)).by_id("main")["data-events"]) as heard:
            assert [event.event for event in heard][-1] == "end"


def rows_of(web: httpx.Client, path: str) -> str:
    """Return the URL of the events of a list page, from its current state on."""
    rows = Parsed(web.get(path)).by_id("rows")
    return f"{rows['data-rows']}&after={rows['data-after']}"


class TestListEvents:
    def test_every_change_is_sent(self, web: httpx.Client, create: Run) -> None:
        # Jobs of other tests may still change, so list only the job of this test.
        with listening(web, rows_of(web, "/web/predictions?q=every+change")) as heard:
            job_id = create("dashscope/hello-world", text="every change")["id"]
            event = next(heard)
        assert event.event == "rows"
        assert re.fullmatch("[0-9]+", event.id)
        sent = json.loads(event.data)
        # Only changed rows are sent, together with the order of all rows.
        assert sent["order"][0] == job_id
        assert list(sent["rows"]) == [job_id]
        assert f'id="row-{job_id}"' in sent["rows"][job_id]

    def test_earlier_changes_are_sent_on_connection(self, web: httpx.Client, run: Run) -> None:
        path = rows_of(web, "/web/predictions?q=before+listening")
        run("dashscope/hello-world", text="before listening")
        run("dashscope/hello-world", text="something else")
        with listening(web, path) as heard:
            sent = json.loads(next(heard).data)
        assert len(sent["order"]) == 1

    def test_streams_end_when_the_server_stops(self) -> None:
        with LocalServer(models=MODELS) as server:
            root = server.base_url.removesuffix("/v1")
            with httpx.Client(base_url=root, headers={"Origin": root}, timeout=30) as web:
                created = web.post("/v1/models/test/sleep/predictions", json={"input": {}}).json()
                wait_for_status(web, created, "processing")
                path = rows_of(web, "/web/")
                listened = threading.Event()
                ended: list[str] = []

                def listen(path: str) -> None:
                    with listening(web, path) as heard:
                        listened.set()
                        ended.extend(event.event for event in heard)

                threads = [
                    threading.Thread(target=listen, args=[path])
                    for path in (path, events_of(web, created))
                ]
                for thread in threads:
                    thread.start()
                listened.wait(10)
                started = Stopwatch()
                server.__exit__(None, None, None)
                # If the stream did not end, uvicorn would wait for its one-second timeout.
                assert started.adjusted < 5
                for thread in threads:
                    thread.join(10)
                    assert not thread.is_alive()
        assert "end" in ended
