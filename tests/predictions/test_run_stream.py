"""`run()` with a stream: the stream triggers the last poll, with three requests in total."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from dashscope import PredictionTimeoutError
from dashscope._common.deadline import Deadline
from dashscope._predictions.stream_end import StreamEndListener
from tests.servers.fake_server import DROP, FakeServer, Received, Reply, prediction, reply
from tests.stopwatch import Stopwatch
from tests.variants import variants

OVER = "event: output\nid: 1\ndata: hello\n\nevent: done\nid: 2\ndata: {}\n\n"
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


class Server:
    """A prediction that finishes when its stream has ended, or after a number of polls."""

    def __init__(self, fake_server: FakeServer, *streams: Reply, polls: int = 0) -> None:
        self.streams = list(streams)
        self.polls = polls
        self.url = fake_server.base_url + "/stream/p1"
        self.over = False
        self.fake_server = fake_server
        fake_server.respond_with(self.answer)

    def answer(self, received: Received) -> Reply:
        if received.path.startswith("/v1/stream/"):
            stream = self.streams.pop(0)
            self.over = self.over or OVER.encode() in (stream.raw or b"") or stream is SAYS_ERROR
            return stream
        if received.method == "POST":
            return reply(self.state(), 201)
        self.polls -= 1
        self.over = self.over or self.polls == 0
        return reply(self.state())

    def state(self) -> dict[str, Any]:
        urls = {"get": "http://x/get", "cancel": "http://x/cancel", "stream": self.url}
        if self.over:
            return prediction("succeeded", output="hello", urls=urls)
        return prediction("processing", urls=urls)

    @property
    def request_lines(self) -> list[str]:
        return [
            line.removeprefix("GET /v1/").partition("/")[0]
            for line in self.fake_server.request_lines
        ]


def stream(*chunks: str, delay: float = 0.0) -> Reply:
    return Reply(raw=(HEAD + "".join(chunks)).encode(), delay=delay)


SAYS_DONE = stream(": hi\n\n", OVER)
SAYS_ERROR = stream("event: error\ndata: {}\n\n")
SILENT = stream("event: output\ndata: hel\n\n")


async def test_the_end_of_the_stream_triggers_a_poll(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    server = Server(fake_server, SAYS_DONE)
    assert await scripted_client.run("owner/name", {}) == "hello"
    assert server.request_lines[1:] == ["stream", "predictions"]


@pytest.mark.parametrize("ending", ["\n", "\r", "\r\n"])
async def test_the_end_is_recognized_in_any_chunks(ending: str) -> None:
    text = ("data: event: done\n\n" + OVER).replace("\n", ending).encode()
    for cut in range(len(text)):
        assert await heard(text[:cut], text[cut:])
    end = text.index(b"done" + ending.encode(), 20) + 4
    assert not await heard(text[:end])


async def heard(*pieces: bytes) -> bool:
    body: Any = Cut(*pieces)
    return await StreamEndListener(body, "http://x/stream", Deadline.NEVER)._read(body)


class Cut:
    """A body of these chunks."""

    def __init__(self, *pieces: bytes) -> None:
        self.runtime = self
        self.pieces = list(pieces)

    def bound(self, deadline: Deadline) -> Any:
        return nullcontext()

    async def chunk(self) -> bytes | None:
        return self.pieces.pop(0) if self.pieces else None


async def test_the_end_is_noticed_immediately(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    server = Server(fake_server, stream(OVER, delay=0.7))
    started = Stopwatch()
    assert await scripted_client.run("owner/name", {}) == "hello"
    assert started.wall >= 0.7
    assert started.adjusted < 1.2
    assert len(server.request_lines) == 3


async def test_an_error_event_triggers_a_poll(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    server = Server(fake_server, SAYS_ERROR)
    assert await scripted_client.run("owner/name", {}) == "hello"
    assert server.request_lines[1:] == ["stream", "predictions"]


async def test_output_that_looks_like_the_end_is_ignored(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    tricky = "event: output\ndata: event: done\n\nevent: done-and-dusted\ndata: x\n\n"
    server = Server(fake_server, stream(tricky), stream(tricky), stream(tricky), polls=5)
    assert await scripted_client.run("owner/name", {}) == "hello"
    assert server.request_lines.count("predictions") == 5


@variants(
    "first",
    [
        DROP,
        SILENT,
        Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut"),
        reply({"detail": "no such stream"}, 404),
        reply({"detail": "slow down"}, 429, retry_after="1"),
        Reply(302, {"location": "ftp://example.com/"}),
    ],
    ids=["drop", "no end", "truncated", "404", "429", "redirect"],
)
async def test_a_broken_stream_is_reconnected_and_polled(
    scripted_client: Any, fake_server: FakeServer, first: Reply
) -> None:
    server = Server(fake_server, first, SAYS_DONE)
    assert await scripted_client.run("owner/name", {}) == "hello"
    assert server.request_lines[1:] == ["stream", "predictions", "stream", "predictions"]


async def test_polling_replaces_a_stream_that_keeps_breaking(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    server = Server(fake_server, DROP, SILENT, DROP, polls=6)
    assert await scripted_client.run("owner/name", {}) == "hello"
    assert server.request_lines[1:] == ["stream", "predictions"] * 3 + ["predictions"] * 3


async def test_a_silent_stream_is_abandoned(
    scripted_client: Any, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._predictions.stream_end.LONGEST_SILENCE", 0.2)
    server = Server(fake_server, *[stream(OVER, delay=0.6) for _ in range(3)], polls=2)
    assert await scripted_client.run("owner/name", {}) == "hello"
    assert server.request_lines[1:3] == ["stream", "predictions"]


async def test_a_large_output_is_not_downloaded_twice(
    scripted_client: Any, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._predictions.stream_end.MOST_BYTES", 1000)
    large = "event: output\ndata: " + "x" * 100_000 + "\n\n"
    server = Server(fake_server, *[stream(large) for _ in range(3)], polls=4)
    assert await scripted_client.run("owner/name", {}) == "hello"
    assert server.request_lines.count("predictions") == 4


@variants("options", [{"poll_interval": 0.05}, {"progress": lambda _: None}])
async def test_interval_and_progress_poll(
    scripted_client: Any, fake_server: FakeServer, options: Any
) -> None:
    server = Server(fake_server, polls=3)
    assert await scripted_client.run("owner/name", {}, **options) == "hello"
    assert "stream" not in server.request_lines


async def test_streams_leave_connections_for_requests(
    make_client: Any, fake_server: FakeServer
) -> None:
    client = make_client(base_url=fake_server.base_url, max_connections=1)
    server = Server(fake_server, polls=2)
    assert await client.run("owner/name", {}) == "hello"
    assert "stream" not in server.request_lines


@pytest.fixture
def polls_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls during a stream are a tenth as frequent."""
    monkeypatch.setattr("dashscope._predictions.watch.STREAM_POLL_INTERVAL", 0.3)
    monkeypatch.setattr("dashscope._predictions.watch.SILENT_STREAM_POLL", 0.2)


@pytest.mark.usefixtures("polls_soon")
@variants("chunk", [": hello\n\n", "event: output\ndata: a\n\n", ""])
async def test_polling_notices_the_end_without_the_stream(
    scripted_client: Any, fake_server: FakeServer, chunk: str
) -> None:
    endless = Reply(raw=HEAD.encode(), drip=[chunk.encode()] * 100, drip_interval=0.05)
    server = Server(fake_server, endless, polls=2)
    started = Stopwatch()
    assert await scripted_client.run("owner/name", {}) == "hello"
    assert server.request_lines[1:] == ["stream", "predictions", "predictions"]
    assert started.adjusted < 3


async def test_a_prediction_that_finished_at_the_deadline_has_its_output(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    endless = Reply(raw=HEAD.encode(), drip=[b": hello\n\n"] * 100, drip_interval=0.05)
    server = Server(fake_server, endless, polls=1)
    assert await scripted_client.run("owner/name", {}, timeout=1.0) == "hello"
    assert server.request_lines[1:] in (
        ["stream", "predictions"],
        ["stream", "predictions", "predictions"],
    )


async def test_a_timeout_during_the_stream_cancels(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    endless = Reply(raw=HEAD.encode(), drip=[b": hello\n\n"] * 100, drip_interval=0.05)
    server = Server(fake_server, endless)
    started = Stopwatch()
    with pytest.raises(PredictionTimeoutError) as caught:
        await scripted_client.run("owner/name", {}, timeout=1.0)
    assert started.adjusted < 3
    assert caught.value.prediction.id == "p1"
    assert fake_server.request_lines[-1] == "POST /v1/predictions/p1/cancel"
    assert server.request_lines[1] == "stream"


async def test_wait_uses_the_stream(scripted_client: Any, fake_server: FakeServer) -> None:
    server = Server(fake_server, SAYS_DONE)
    finished = await scripted_client.wait("p1")
    assert finished.output == "hello"
    assert server.request_lines == ["predictions", "stream", "predictions"]
