"""This client."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any

from harness import (
    Delays,
    Growth,
    Meter,
    hammer,
    hammer_sync,
    hammer_threads,
    main,
    memory,
    tally,
    tally_async,
)

from dashscope import AsyncClient, Client

SPREAD = 0.1


def _options(origin: str, ca: str | None = None, http2: bool = False) -> dict[str, Any]:
    options: dict[str, Any] = {
        "api_token": "token", "base_url": f"{origin}/v1", "http2": http2
    }  # fmt: skip
    if ca is not None:
        options["verify"] = ssl.create_default_context(cafile=ca)
    return options


def _async_client(origin: str, transport: str | None = None, **options: Any) -> AsyncClient:
    if transport == "aiohttp":
        from dashscope.integrations.aiohttp import http_client

        return AsyncClient(**_options(origin), http_client=http_client())
    return AsyncClient(**_options(origin, **options))


async def requests(
    origin: str, in_flight: int, total: int, transport: str | None = None, **options: Any
) -> Any:
    async with _async_client(origin, transport, **options) as client:
        return await hammer(
            lambda: client.predictions.get("fixed"), in_flight=in_flight, total=total
        )


def sync_requests(origin: str, total: int, **options: Any) -> Any:
    with Client(**_options(origin, **options)) as client:
        return hammer_sync(lambda: client.predictions.get("fixed"), total=total)


def threads(origin: str, count: int, total: int) -> Any:
    """All threads share one client."""
    with Client(**_options(origin)) as client:
        return hammer_threads([lambda: client.predictions.get("fixed")] * count, total=total)


async def events(origin: str, stream: str) -> Any:
    async with _async_client(origin) as client, client.stream("a/b", {"stream": stream}) as events:
        return await tally_async(events)


def sync_events(origin: str, stream: str) -> Any:
    with Client(**_options(origin)) as client, client.stream("a/b", {"stream": stream}) as events:
        return tally(events)


async def latency(origin: str) -> Any:
    delays = Delays()
    async with (
        _async_client(origin) as client,
        client.stream("a/b", {"stream": "latency"}) as events,
    ):
        async for event in events:
            delays.take(str(event))
    return delays.read()


def sync_latency(origin: str) -> Any:
    delays = Delays()
    with (
        Client(**_options(origin)) as client,
        client.stream("a/b", {"stream": "latency"}) as events,
    ):
        for event in events:
            delays.take(str(event))
    return delays.read()


def upload(origin: str, paths: list[str]) -> Any:
    with Client(**_options(origin)) as client:
        client.predictions.get("fixed")
        growth = Growth()
        for path in paths:
            client.files.create(Path(path))
        return growth.read()


async def upload_async(origin: str, paths: list[str]) -> Any:
    async with _async_client(origin) as client:
        await client.predictions.get("fixed")
        growth = Growth()
        for path in paths:
            await client.files.create(Path(path))
        return growth.read()


async def upload_at_once(origin: str, paths: list[str]) -> Any:
    """Upload the inputs of one run: several concurrently."""
    async with _async_client(origin) as client:
        await client.predictions.get("fixed")
        growth = Growth()
        await client.run("a/b", {"files": [Path(path) for path in paths]}, poll_interval=0.01)
        return growth.read()


def download(origin: str, size: int, target: str) -> Any:
    with Client(**_options(origin)) as client:
        output = client.run("a/b", {"output": f"{origin}/bytes/{size}"})
        growth = Growth()
        output.save(target, overwrite=True)
        return growth.read()


async def download_async(origin: str, size: int, target: str) -> Any:
    async with _async_client(origin) as client:
        output = await client.run("a/b", {"output": f"{origin}/bytes/{size}"})
        growth = Growth()
        await output.save(target, overwrite=True)
        return growth.read()


async def noticing(origin: str, seconds: list[float], stream: bool, **options: Any) -> Any:
    async with _async_client(origin) as client:
        await client.predictions.get("fixed")

        async def one(length: float) -> tuple[float, int]:
            input: dict[str, Any] = {"seconds": length}
            if stream:
                input["stream"] = "end"
            output = await client.run("a/b", input, **options)
            return time.monotonic() - output["finished_at"], output["requests"]

        meter = Meter()
        return meter.read(runs=await asyncio.gather(*map(one, seconds)))


async def held(origin: str, in_flight: int, hold: int) -> Any:
    before = memory()
    async with _async_client(origin) as client:
        await client.predictions.get("fixed")
        rest = memory()
        growth = Growth()
        await asyncio.gather(*(client.predictions.get(f"held-{hold}") for _ in range(in_flight)))
        return growth.read(rest=rest - before)


async def output(origin: str, size: int, count: int) -> Any:
    async with _async_client(origin) as client:
        await client.predictions.get("fixed")
        meter = Meter()
        for _ in range(count):
            await client.predictions.get(f"output-{size}")
        return meter.read(count=count)


async def page(origin: str, items: int, count: int) -> Any:
    async with _async_client(f"{origin}/page/{items}") as client:
        assert len(await client.predictions.list()) == items
        before = memory()
        meter = Meter()
        kept = [await client.predictions.list() for _ in range(count)]
        return meter.read(count=len(kept), kept=memory() - before)


if __name__ == "__main__":
    main(
        requests, sync_requests, threads, events, sync_events, latency, sync_latency,
        upload, upload_async, upload_at_once, download, download_async, noticing, held, output,
        page,
    )  # fmt: skip
