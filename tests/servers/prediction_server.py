"""A fast server that knows which predictions are running."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from contextlib import suppress
from typing import Any

from attrs import field, frozen

from tests.servers.fake_server import prediction
from tests.servers.loop_server import LoopServer, reply_json

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@frozen
class Job:
    """A prediction of the server, with the headers of its create."""

    id: str
    model: str
    headers: dict[str, str]
    over: asyncio.Event = field(factory=asyncio.Event)


class PredictionServer(LoopServer):
    """Serves predictions whose behavior depends on the name of the model.

    Streams send the words `a ` and `b `, and then nothing until the prediction is finished.

    | model | behavior |
    |---|---|
    | `polls-3` | succeeds at the third poll; has no stream |
    | `short` | succeeds after its stream has sent both words |
    | `late-0.2` | responds to the create after 0.2 s |
    | `never-creates` | does not respond to the create |
    | `rejects-cancel` | responds to a cancel with an error |
    | `ignores-cancel` | does not respond to a cancel |
    | any other | runs until it is canceled |

    Attributes:
        running: The ids of running predictions.
        jobs: All predictions, by id.
        request_counts: The number of requests, by `POST /v1/predictions/{id}/cancel`.
    """

    def __init__(self) -> None:
        self.running: set[str] = set()
        self.jobs: dict[str, Job] = {}
        self.request_counts: Counter[str] = Counter()
        self.creating = threading.Event()
        """Set when a create has arrived."""
        self.canceling = threading.Event()
        """Set when a cancel has arrived."""
        self.polling = threading.Event()
        """Set when a prediction was polled twice: the connection is open and stays in use."""
        self._polls: Counter[str] = Counter()
        self._statuses: dict[str, str] = {}
        super().__init__()

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.request_counts[f"{method} {path}"] += 1
        id = path.split("/")[3] if path.count("/") > 2 else path.rpartition("/")[2]
        if path.endswith("/cancel"):
            self.canceling.set()
            match self.jobs[id].model:
                case "rejects-cancel":
                    return await reply_json(writer, 400, {"detail": "not now"})
                case "ignores-cancel":
                    await asyncio.sleep(60)
            self._end(id)
            return await reply_json(writer, 200, prediction("canceled", id=id))
        if method == "POST":
            model = path.split("/")[4] if "/models/" in path else json.loads(body)["version"]
            return await self._create(model.rpartition("/")[2], headers, writer)
        if path.startswith("/streams/"):
            return await self._stream(path.rpartition("/")[2], reader, writer)
        if id == "account":
            return await reply_json(writer, 200, {"type": "user", "username": "a"})
        if self.request_counts[f"{method} {path}"] > 1:
            self.polling.set()
        return await reply_json(writer, 200, self._poll(id))

    async def _create(
        self,
        model: str,
        headers: dict[str, str],
        writer: asyncio.StreamWriter,
    ) -> bool:
        id = f"p{len(self.jobs) + 1}"
        job = self.jobs[id] = Job(id, model, headers)
        self.running.add(id)
        self.creating.set()
        if model.startswith("late-"):
            await asyncio.sleep(float(model.removeprefix("late-")))
        elif model == "never-creates":
            await asyncio.sleep(60)
        if headers.get("prefer", "").startswith("wait"):
            seconds = float(headers["prefer"].partition("=")[2] or 60)
            if "cancel-after" in headers:
                after = float(headers["cancel-after"].rstrip("s"))
                self._loop.call_later(after, self._end, id)
            with suppress(TimeoutError):
                await asyncio.wait_for(job.over.wait(), seconds)
        return await reply_json(writer, 201, self._shown(id))

    def _poll(self, id: str) -> dict[str, Any]:
        self._polls[id] += 1
        model = self.jobs[id].model
        if model.startswith("polls-") and self._polls[id] >= int(model.removeprefix("polls-")):
            self._end(id, "succeeded")
        return self._shown(id)

    def _shown(self, id: str) -> dict[str, Any]:
        urls = {}
        if not self.jobs[id].model.startswith("polls-"):
            urls["stream"] = f"{self.origin}/streams/{id}"
        return prediction(self._statuses.get(id, "processing"), id=id, output="done", urls=urls)

    async def _stream(
        self, id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        writer.write(HEAD)
        for number, word in enumerate("ab", 1):
            _chunk(writer, f"event: output\nid: {number}\ndata: {word} \n\n")
        await writer.drain()
        if self.jobs[id].model == "short":
            self._end(id, "succeeded")
        gone = asyncio.ensure_future(reader.read())
        over = asyncio.ensure_future(self.jobs[id].over.wait())
        await asyncio.wait({gone, over}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if not gone.done():
            gone.cancel()
            _chunk(writer, "event: done\nid: 3\ndata: {}\n\n")
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        return False

    def _end(self, id: str, status: str = "canceled") -> None:
        self.running.discard(id)
        self._statuses.setdefault(id, status)
        self.jobs[id].over.set()


def _chunk(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(b"%x\r\n%b\r\n" % (len(text), text.encode()))
