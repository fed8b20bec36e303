"""Streams: the output and logs of a prediction as server-sent events."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from httpx_sse import EventSource, ServerSentEvent

from dashscope.local import LocalServer
from dashscope.local.http.routes import streams
from tests.local.conftest import MODELS
from tests.variants import variants
from tests.waiting import wait_for_status, wait_until

Run = Callable[..., dict[str, Any]]


def read(url: str, last_id: str | None = None) -> list[ServerSentEvent]:
    headers = {"Last-Event-ID": last_id} if last_id is not None else {}
    with httpx.stream("GET", url, headers=headers, timeout=30) as response:
        assert response.status_code == 200
        return list(EventSource(response).iter_sse())


def output(events: list[ServerSentEvent]) -> list[str]:
    return [event.data for event in events if event.event == "output"]


def logs(events: list[ServerSentEvent]) -> str:
    return "".join(event.data for event in events if event.event == "logs")


def test_output_and_logs_are_streamed_and_then_done(create: Run) -> None:
    prediction = create("test/parts", count=3, delay=0.1)
    events = read(prediction["urls"]["stream"])
    assert output(events) == ["0 ", "1 ", "2 "]
    assert logs(events) == "part 0\npart 1\npart 2\n"
    assert [event.event for event in events].count("done") == 1
    assert (events[-1].event, events[-1].data) == ("done", "{}")
    assert all(event.id for event in events)
    assert {event.event for event in events} == {"output", "logs", "done"}


def test_a_chunk_arrives_before_the_next_is_produced(http: httpx.Client, create: Run) -> None:
    prediction = create("test/parts", count=2, delay=60)
    with httpx.stream("GET", prediction["urls"]["stream"], timeout=30) as response:
        events = EventSource(response).iter_sse()
        while (event := next(events)).event != "output":
            pass
        assert event.data == "0 "
        http.post(prediction["urls"]["cancel"])
        assert output(list(events)) == []


def test_other_chunks_are_json(create: Run) -> None:
    assert output(read(create("test/numbers")["urls"]["stream"])) == ["0", "1", "2"]


def test_line_breaks_are_preserved(create: Run) -> None:
    events = read(create("dashscope/countdown", start=1, delay=0)["urls"]["stream"])
    assert "".join(output(events)) == "1\n0\n"


def test_a_finished_stream_is_replayed(run: Run) -> None:
    prediction = run("test/parts")
    events = read(prediction["urls"]["stream"])
    assert output(events) == prediction["output"]
    assert logs(events) == prediction["logs"]


def test_a_failure_is_an_error_event(create: Run) -> None:
    events = read(create("test/ends", how="sys.exit", after_parts=1)["urls"]["stream"])
    assert output(events) == ["0"]
    assert events[-2].event == "error"
    assert json.loads(events[-2].data) == {"detail": "left"}
    assert (events[-1].event, json.loads(events[-1].data)) == ("done", {"reason": "error"})


def test_a_cancel_ends_the_stream(http: httpx.Client, create: Run) -> None:
    prediction = create("test/parts", count=100, delay=0.1)
    with httpx.stream("GET", prediction["urls"]["stream"]) as response:
        events = EventSource(response).iter_sse()
        while next(events).event != "output":
            pass
        http.post(prediction["urls"]["cancel"])
        rest = list(events)
    assert json.loads(rest[-1].data) == {"reason": "canceled"}


@pytest.mark.parametrize("finished", [True, False])
def test_reconnecting_resumes_after_the_last_event(
    http: httpx.Client, create: Run, finished: bool
) -> None:
    prediction = create("test/parts", count=6, delay=0.05)
    got: list[ServerSentEvent] = []
    with httpx.stream("GET", prediction["urls"]["stream"]) as response:
        for event in EventSource(response).iter_sse():
            got.append(event)
            if len(output(got)) == 2:
                break
    if finished:
        wait_for_status(http, prediction, "succeeded")
    got += read(prediction["urls"]["stream"], got[-1].id)
    assert "".join(output(got)) == "0 1 2 3 4 5 "
    assert logs(got) == "".join(f"part {number}\n" for number in range(6))


def test_reconnecting_after_the_end_returns_no_events(run: Run) -> None:
    url = run("test/parts")["urls"]["stream"]
    last = read(url)[-1]
    assert httpx.get(url, headers={"Last-Event-ID": last.id}).status_code == 204


@variants("last_id", ["", "x", "1", "99999-99999", "1-1-1", "²-1"])
def test_an_unknown_last_event_id_is_no_error(run: Run, last_id: str) -> None:
    url = run("test/parts")["urls"]["stream"]
    headers = {"Last-Event-ID": last_id.encode()}
    assert httpx.get(url, headers=headers).text.endswith("data: {}\n\n")


def test_comments_keep_an_idle_connection_alive(create: Run, tmp_path: Path) -> None:
    file = tmp_path / "released"
    comments = 0
    with mock.patch.object(streams, "KEEP_ALIVE", 0.05):
        prediction = create("test/released", file=str(file), count=1)
        with httpx.stream("GET", prediction["urls"]["stream"], timeout=30) as response:
            for line in response.iter_lines():
                comments += line == ": still here"
                if comments == 2:
                    file.write_bytes(bytes(1))
    assert comments >= 2


def test_only_streaming_models_have_a_stream(run: Run) -> None:
    assert "stream" not in run("dashscope/hello-world", text="x")["urls"]


def test_a_stream_url_is_unguessable(http: httpx.Client, run: Run) -> None:
    url: str = run("test/parts")["urls"]["stream"]
    assert "/files/" not in url
    guessed = url.rpartition("/")[0]
    for path in (guessed, f"{guessed}/x", f"{guessed}/", f"{guessed}/%00"):
        assert httpx.get(path).status_code == 404


@pytest.fixture
def with_token() -> Iterator[LocalServer]:
    with LocalServer(models=MODELS, token="secret") as server:
        yield server


def test_a_stream_needs_no_token(with_token: LocalServer) -> None:
    headers = {"Authorization": "Bearer secret", "Prefer": "wait"}
    response = httpx.post(
        f"{with_token.base_url}/models/test/parts/predictions", json={"input": {}}, headers=headers
    )
    assert output(read(response.json()["urls"]["stream"])) == ["0 ", "1 ", "2 "]


def test_a_stream_ends_with_the_server() -> None:
    with LocalServer(models=MODELS) as server:
        url = f"{server.base_url}/models/test/parts/predictions"
        prediction = httpx.post(url, json={"input": {"count": 9, "delay": 30}}).json()
        stream = httpx.stream("GET", prediction["urls"]["stream"])
        response = stream.__enter__()
        events = EventSource(response).iter_sse()
        assert next(events).event in {"logs", "output"}
    assert list(events)[-1].event == "done"
    stream.__exit__(None, None, None)


def test_the_secret_of_a_stream_is_not_logged(
    http: httpx.Client, create: Run, caplog: pytest.LogCaptureFixture
) -> None:
    url = create("dashscope/countdown", start=0)["urls"]["stream"]
    with caplog.at_level("INFO", logger="dashscope.local"):
        assert httpx.get(url).status_code == 200
        assert httpx.get(f"{url}%0a/more").status_code == 404
        assert httpx.get(url.replace("/v1/", "/prefix//V1/")).status_code == 404
        wait_until(lambda: caplog.text.lower().count("/v1/streams/") >= 3)
    assert url.rsplit("/", 1)[1] not in caplog.text
