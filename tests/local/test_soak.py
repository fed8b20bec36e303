"""What takes long: many predictions, large files, hostile models in the full size."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import psutil
import pytest

from dashscope.local import LocalServer
from tests.local.conftest import MODELS
from tests.local.test_durability import serving
from tests.local.waiting import until

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]

Run = Callable[..., dict[str, Any]]


def test_10_000_listed_while_new_ones_arrive(tmp_path: Path) -> None:
    with (
        LocalServer(models=MODELS, data=tmp_path, queue_limit=20_000) as server,
        httpx.Client(base_url=server.base_url, timeout=60) as http,
    ):

        def create(_: int) -> str:
            body = {"input": {"text": "x"}}
            answer = http.post("/models/dashscope/hello-world/predictions", json=body)
            return answer.json()["id"]

        with ThreadPoolExecutor(8) as pool:
            created = set(pool.map(create, range(10_000)))
        assert len(created) == 10_000
        stop = Event()

        def go_on() -> None:
            while not stop.is_set():
                create(0)

        writer = Thread(target=go_on)
        writer.start()
        seen: list[str] = []
        took: list[float] = []
        url: str | None = "/predictions"
        while url:
            began = time.monotonic()
            page = http.get(url).json()
            took.append(time.monotonic() - began)
            seen += [item["id"] for item in page["results"]]
            url = page["next"]
        stop.set()
        writer.join()
        assert len(seen) == len(set(seen))
        assert created <= set(seen)
        print(f"{len(took)} pages, {sorted(took)[len(took) // 2] * 1000:.1f} ms at the median")


def test_a_100_mb_upload_takes_constant_memory(tmp_path: Path) -> None:
    size = 99 * 1024 * 1024

    def content() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="content"; filename="a"\r\n\r\n'
        for _ in range(size // 65536):
            yield bytes(65536)
        yield b"\r\n--x--\r\n"

    with serving(tmp_path) as server:
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        peak = before
        done = Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.01):
                peak = max(peak, process.memory_info().rss)

        watcher = Thread(target=watch)
        watcher.start()
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = server.http.post("/files", content=content(), headers=headers)
        done.set()
        watcher.join()
        assert answer.json()["size"] == size
        assert peak - before < 30 * 1024 * 1024, (peak - before) / 1024 / 1024
        print(f"{(peak - before) / 1024 / 1024:.1f} MB more while it came in")


def test_100_mb_of_logs(run: Run) -> None:
    prediction = run("test/floods", megabytes=100)
    assert prediction["status"] == "succeeded"
    assert prediction["logs"].endswith("the last line\n")
    assert len(prediction["logs"]) < 1.1 * 1024 * 1024


def test_the_server_answers_while_models_never_yield(http: httpx.Client, create: Run) -> None:
    spinning = [create("test/spins") for _ in range(4)]
    took = []
    for _ in range(50):
        began = time.monotonic()
        assert http.get("/account").status_code == 200
        took.append(time.monotonic() - began)
    assert sorted(took)[25] < 0.2
    for prediction in spinning:
        assert http.post(prediction["urls"]["cancel"]).json()["status"] == "canceled"


def test_300_held_creates_at_once(http: httpx.Client, server: LocalServer) -> None:
    def create(number: int) -> Any:
        return httpx.post(
            f"{server.base_url}/models/test/echo/predictions",
            json={"input": {"value": number}},
            headers={"Prefer": "wait=60"},
            timeout=70,
        ).json()["output"]

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(create, range(300))) == list(range(300))


def test_streams_that_are_left_do_not_pile_up(server: LocalServer, create: Run) -> None:
    process = psutil.Process()
    prediction = create("test/parts", count=1000, delay=0.05)
    with httpx.stream("GET", prediction["urls"]["stream"]) as first:
        next(first.iter_raw())
    before = process.num_fds()
    for _ in range(100):
        with httpx.stream("GET", prediction["urls"]["stream"]) as response:
            next(response.iter_raw())
    until(lambda: process.num_fds() <= before + 2)
    httpx.post(prediction["urls"]["cancel"])
