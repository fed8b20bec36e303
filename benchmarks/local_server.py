"""`python -m benchmarks.local_server`: how fast the local server and its pages are.

Each part measures a server in a separate process. Times are given as minimum, median and 99th
percentile, in milliseconds. `cpu` is the CPU time of the server process for each operation, which
other programs on the machine change less. The parts that need a browser use Debian's `chromium`
through playwright (`pip install playwright`).
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from benchmarks.attack import Server
from dashscope.local.pages.lists import ROWS
from dashscope.local.store import Database, Store
from dashscope.local.values import new_id, now, timestamp

LISTED = 10_000
"""Predictions in the lists."""

OPEN_PAGES = 500


def times(seconds: Iterable[float]) -> dict[str, float]:
    """Summarize times in milliseconds."""
    ordered = sorted(seconds)
    return {
        "min": round(ordered[0] * 1000, 2),
        "median": round(statistics.median(ordered) * 1000, 2),
        "p99": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
    }


class Usage:
    """The CPU time, memory and open files of the server process."""

    def __init__(self, server: Server) -> None:
        self._process = psutil.Process(server.pid)
        self._before = self._cpu()

    def _cpu(self) -> float:
        used = self._process.cpu_times()
        return used.user + used.system

    def milliseconds(self, operations: int) -> float:
        """Return the CPU time of each operation since the last call."""
        before, self._before = self._before, self._cpu()
        return round((self._before - before) / operations * 1000, 3)

    def size(self) -> dict[str, float]:
        """Return the memory in MB, and the numbers of descriptors and threads."""
        return {
            "MB": round(self._process.memory_info().rss / 1024**2, 1),
            "descriptors": self._process.num_fds(),
            "threads": self._process.num_threads(),
        }


@contextmanager
def serving(listed: int = 0) -> Generator[Server]:
    """Start a server, with a number of finished predictions in its database."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = Server(folder)
        if listed:
            with server:
                pass
            add_predictions(server, listed)
        yield stack.enter_context(server)


def add_predictions(server: Server, count: int) -> None:
    with closing(Database(server.data / "dashscope.db")) as database:
        store = Store(database)
        model = store.models.get("attack/quick")
        assert model is not None
        with store.transaction():
            for number in range(count):
                at = timestamp(now())
                store.jobs.create(
                    {
                        "id": new_id(),
                        "kind": "prediction",
                        "model": model.full_name,
                        "version": model.latest,
                        "status": "succeeded" if number % 10 else "failed",
                        "input": json.dumps({"value": number}),
                        "output": json.dumps(["a ", "b ", str(number)]),
                        "error": None if number % 10 else "The value is a multiple of 10.",
                        "created_at": at,
                        "acquired_at": at,
                        "started_at": at,
                        "completed_at": at,
                    }
                )


def measure_creates(count: int = 1000) -> dict[str, Any]:
    """Create predictions one after the other on one connection. They stay queued."""
    with serving() as server, closing(connect(server)) as connection:
        body = json.dumps({"input": {"seconds": 600}})
        headers = {"Content-Type": "application/json"}

        def create() -> float:
            began = time.perf_counter()
            connection.request("POST", "/v1/models/attack/idle/predictions", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 201
            return time.perf_counter() - began

        for _ in range(100):
            create()
        usage = Usage(server)
        took = [create() for _ in range(count)]
        return {**times(took), "cpu": usage.milliseconds(count)}


def connect(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(server.base_url).netloc)


def root_of(server: Server) -> str:
    return server.base_url.removesuffix("/v1")


def paths(server: Server) -> dict[str, str]:
    """Return a page of each kind."""
    first = httpx.get(f"{server.base_url}/predictions").json()["results"][0]["id"]
    names = ("predictions", "trainings", "deployments", "files", "webhooks", "collections")
    model = "/web/models/attack/quick"
    return {
        "models": "/web/",
        **{name: f"/web/{name}" for name in (*names, "hardware", "docs", "guides")},
        "guide": "/web/guides/deploying-the-server",
        "playground": model,
        **{name: f"{model}/{name}" for name in ("api", "examples", "versions", "runs", "readme")},
        "run": f"{model}?run={first}",
        "prediction": f"/web/predictions/{first}",
        "search": "/web/predictions?q=99",
    }


def measure_pages(count: int = 50) -> dict[str, Any]:
    """Request each kind of page, with 10,000 predictions in the database."""
    found: dict[str, Any] = {}
    with serving(LISTED) as server, closing(connect(server)) as connection:
        for name, path in paths(server).items():

            def request(path: str = path) -> tuple[float, int]:
                began = time.perf_counter()
                connection.request("GET", path)
                answer = connection.getresponse()
                size = len(answer.read())
                assert answer.status == 200, path
                return time.perf_counter() - began, size

            request()
            usage = Usage(server)
            took = [request() for _ in range(count)]
            cpu = usage.milliseconds(count)
            found[name] = {**times(t for t, _ in took), "cpu": cpu, "bytes": took[0][1]}
    return found


async def follow(server: Server, seen: Callable[[], None], ready: Callable[[], None]) -> None:
    """Keep a list open like a page does, and call ``seen`` for each change."""
    parts = urlsplit(server.base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    request = f"GET /web/rows/events?kind=prediction HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n"
    writer.write(request.encode())
    try:
        await reader.readuntil(b"event: rows")
        ready()
        while True:
            await reader.readuntil(b"event: rows")
            seen()
    except asyncio.IncompleteReadError:
        return
    finally:
        writer.close()


def measure_open_pages(creates: int = 20) -> dict[str, Any]:
    """Keep 500 lists open, and measure how long a new prediction takes to reach all of them."""
    with serving(LISTED) as server:
        usage = Usage(server)

        async def measure() -> list[float]:
            waiting, changed = OPEN_PAGES, asyncio.Event()

            def count() -> None:
                nonlocal waiting
                waiting -= 1
                if waiting <= 0:
                    changed.set()

            pages = [asyncio.create_task(follow(server, count, count)) for _ in range(OPEN_PAGES)]
            await changed.wait()
            usage.milliseconds(1)
            took: list[float] = []
            async with httpx.AsyncClient(base_url=server.base_url) as client:
                for _ in range(creates):
                    # Longer than the feed's interval, so that each change is sent separately.
                    await asyncio.sleep(0.5)
                    waiting = OPEN_PAGES
                    changed.clear()
                    began = time.perf_counter()
                    body = {"input": {"seconds": 600}}
                    answer = await client.post("/models/attack/idle/predictions", json=body)
                    answer.raise_for_status()
                    await changed.wait()
                    took.append(time.perf_counter() - began)
            for page in pages:
                page.cancel()
            await asyncio.gather(*pages, return_exceptions=True)
            return took

        took = asyncio.run(measure())
        return {**times(took), "cpu": usage.milliseconds(creates), **usage.size()}


READY = """() => {
    const [entry] = performance.getEntriesByType("navigation");
    return [entry.responseEnd, entry.domContentLoadedEventEnd, entry.loadEventEnd];
}"""

APPEARED = """seconds => new Promise(resolve => {
    const list = document.getElementById("rows"), before = list.firstElementChild?.id;
    const observer = new MutationObserver(() => {
        if (list.firstElementChild?.id === before) return;
        observer.disconnect();
        // The next frame shows it.
        requestAnimationFrame(() => resolve(performance.now() - began));
    });
    observer.observe(list, { childList: true });
    const began = performance.now();
    fetch("/v1/models/attack/idle/predictions", { method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ input: { seconds } }) });
})"""

SCROLL = """([rows, size]) => new Promise(resolve => {
    const frames = [], tasks = [];
    const observer = new PerformanceObserver(list => {
        for (const entry of list.getEntries()) tasks.push(entry.duration);
    });
    observer.observe({ type: "longtask" });
    let before = performance.now();
    const step = at => {
        frames.push(at - before);
        before = at;
        scrollBy(0, 400);
        const count = size * (1 + document.getElementsByClassName("older").length);
        const height = document.body.scrollHeight;
        const end = count >= rows && scrollY + innerHeight >= height - 2;
        if (end || frames.length > 60000) return resolve({ frames, tasks, count });
        requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
})"""


@contextmanager
def browsing(server: Server, **options: Any) -> Generator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        context = browser.new_context(base_url=root_of(server), **options)
        yield context.new_page()
        browser.close()


def measure_browser() -> dict[str, Any]:
    """Open each kind of page in Chromium, and measure when it is ready.

    Then measure how long a new prediction takes to appear in an open list.
    """
    found: dict[str, Any] = {}
    with serving(LISTED) as server, browsing(server) as page:
        for name, path in paths(server).items():
            ready = []
            for _ in range(7):
                page.goto(path)
                ready.append(page.evaluate(READY)[2] / 1000)
            found[name] = times(ready)
        page.goto("/web/predictions")
        page.wait_for_timeout(500)
        appeared = []
        for _ in range(20):
            appeared.append(page.evaluate(APPEARED, 600) / 1000)
            page.wait_for_timeout(400)
        found["a new prediction appears"] = times(appeared)
    return found


def measure_scrolling() -> dict[str, Any]:
    """Scroll through 10,000 predictions, 400 pixels at each frame, while older rows are loaded."""
    with serving(LISTED) as server, browsing(server) as page:
        page.goto("/web/predictions")
        usage = Usage(server)
        measured = page.evaluate(SCROLL, [LISTED, ROWS])
        frames = sorted(measured["frames"])
        return {
            "rows": measured["count"],
            "frames": len(frames),
            "ms at the median": round(statistics.median(frames), 1),
            "ms at p99": round(frames[int(len(frames) * 0.99)], 1),
            "longest frame": round(frames[-1], 1),
            "frames above 50 ms": sum(frame > 50 for frame in frames),
            "long tasks": len(measured["tasks"]),
            "longest task": round(max(measured["tasks"], default=0), 1),
            "server's cpu for each page of rows": usage.milliseconds(LISTED // ROWS),
        }


def measure_load(seconds: float) -> dict[str, Any]:
    """Run predictions, stream, upload, cancel and open pages, and measure what grows."""
    with serving() as server:
        chance = random.Random(1)
        usage = Usage(server)
        root, end = root_of(server), time.monotonic() + seconds
        done: dict[str, int] = {}
        opened = ["/web/", "/web/predictions", "/web/models/attack/quick", "/web/files"]

        async def work() -> None:
            async with httpx.AsyncClient(base_url=server.base_url, timeout=60) as client:
                while time.monotonic() < end:
                    what = chance.choice(("run", "stream", "upload", "cancel", "page", "list"))
                    await OPERATIONS[what](client, root, chance.choice(opened))
                    done[what] = done.get(what, 0) + 1

        async def load() -> list[dict[str, Any]]:
            sizes: list[dict[str, Any]] = []
            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(work())
                for share in (0.1, 0.25, 0.5, 0.75, 0.98):
                    await asyncio.sleep(max(0.0, end - seconds * (1 - share) - time.monotonic()))
                    wal = server.data / "dashscope.db-wal"
                    log = round(wal.stat().st_size / 1024**2, 1) if wal.exists() else 0.0
                    jobs = len(list((server.data / "jobs").iterdir()))
                    sizes.append({**usage.size(), "WAL MB": log, "job folders": jobs})
            return sizes

        sizes = asyncio.run(load())
        total = sum(done.values())
        return {"operations": done, "cpu": usage.milliseconds(total), "sizes": sizes}


async def _run(client: httpx.AsyncClient, root: str, page: str) -> None:
    body = {"input": {"value": 1}}
    answer = await client.post("/models/attack/quick/predictions", json=body, headers=WAIT)
    assert answer.json()["output"] == ["a ", "b ", "1"], answer.text


async def _stream(client: httpx.AsyncClient, root: str, page: str) -> None:
    answer = await client.post("/models/attack/quick/predictions", json={"input": {"value": 1}})
    streamed = await client.get(answer.json()["urls"]["stream"])
    assert "event: done" in streamed.text


async def _upload(client: httpx.AsyncClient, root: str, page: str) -> None:
    answer = await client.post("/files", files={"content": bytes(100_000)})
    file = answer.json()
    assert len((await client.get(file["urls"]["download"])).content) == 100_000
    await client.delete(file["urls"]["get"])


async def _cancel(client: httpx.AsyncClient, root: str, page: str) -> None:
    answer = await client.post("/models/attack/slow/predictions", json={"input": {}})
    await client.post(answer.json()["urls"]["cancel"])


async def _page(client: httpx.AsyncClient, root: str, page: str) -> None:
    (await client.get(f"{root}{page}")).raise_for_status()


async def _list(client: httpx.AsyncClient, root: str, page: str) -> None:
    (await client.get("/predictions")).raise_for_status()


WAIT = {"Prefer": "wait"}
OPERATIONS = {
    "run": _run, "stream": _stream, "upload": _upload, "cancel": _cancel, "page": _page,
    "list": _list,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.local_server")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "creates": measure_creates,
        "pages": measure_pages,
        "open-pages": measure_open_pages,
        "browser": measure_browser,
        "scrolling": measure_scrolling,
        "load": lambda: measure_load(arguments.seconds),
    }
    parser.add_argument("--only", metavar="PARTS", help=f"of {','.join(parts)}")
    parser.add_argument("--seconds", type=float, default=3600.0, help="of steady load")
    arguments = parser.parse_args()
    chosen = arguments.only.split(",") if arguments.only else list(parts)
    if unknown := set(chosen) - set(parts):
        parser.error(f"no part {', '.join(unknown)}: there are {', '.join(parts)}")
    for name in chosen:
        print(f"\n{name}:", flush=True)
        for what, figure in parts[name]().items():
            print(f"  {what}: {json.dumps(figure)}", flush=True)


if __name__ == "__main__":
    main()
