"""`replicate` 2.0.0b4, with its default and with its aiohttp transport."""

from __future__ import annotations

import asyncio
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
from replicate import AsyncReplicate, Replicate
from replicate._base_client import DefaultAioHttpClient


def _options(origin: str) -> dict[str, Any]:
    return {"bearer_token": "token", "base_url": f"{origin}/v1", "timeout": 120, "max_retries": 0}


def _client(origin: str, transport: str | None = None) -> AsyncReplicate:
    if transport == "aiohttp":
        return AsyncReplicate(**_options(origin), http_client=DefaultAioHttpClient())
    return AsyncReplicate(**_options(origin))


async def requests(origin: str, in_flight: int, total: int, transport: str | None = None) -> Any:
    async with _client(origin, transport) as client:
        return await hammer(
            lambda: client.predictions.get(prediction_id="fixed"), in_flight=in_flight, total=total
        )


def sync_requests(origin: str, total: int) -> Any:
    client = Replicate(**_options(origin))
    return hammer_sync(lambda: client.predictions.get(prediction_id="fixed"), total=total)


def threads(origin: str, count: int, total: int) -> Any:
    client = Replicate(**_options(origin))
    calls = [lambda: client.predictions.get(prediction_id="fixed")] * count
    return hammer_threads(calls, total=total)


# Its own stream() polls the prediction. The benchmark measures its internal event decoder instead,
# on a response of its HTTP client.
async def events(origin: str, stream: str) -> Any:
    from replicate._streaming import SSEDecoder

    async with _client(origin) as client:
        made = await client.models.predictions.create(
            model_owner="a", model_name="b", input={"stream": stream}
        )
        async with client._client.stream("GET", made.urls.stream) as response:
            return await tally_async(SSEDecoder().aiter_bytes(response.aiter_bytes()))


def sync_events(origin: str, stream: str) -> Any:
    from replicate._streaming import SSEDecoder

    client = Replicate(**_options(origin))
    made = client.models.predictions.create(
        model_owner="a", model_name="b", input={"stream": stream}
    )
    with client._client.stream("GET", made.urls.stream) as response:
        return tally(SSEDecoder().iter_bytes(response.iter_bytes()))


async def latency(origin: str) -> Any:
    from replicate._streaming import SSEDecoder

    delays = Delays()
    async with _client(origin) as client:
        made = await client.models.predictions.create(
            model_owner="a", model_name="b", input={"stream": "latency"}
        )
        async with client._client.stream("GET", made.urls.stream) as response:
            async for event in SSEDecoder().aiter_bytes(response.aiter_bytes()):
                delays.take(event.data)
    return delays.read()


def upload(origin: str, paths: list[str]) -> Any:
    client = Replicate(**_options(origin))
    client.predictions.get(prediction_id="fixed")
    growth = Growth()
    for path in paths:
        client.files.create(content=Path(path))
    return growth.read()


def download(origin: str, size: int, target: str) -> Any:
    """Save a file the way the client documents: iterate over the output."""
    from replicate.lib._files import FileOutput

    client = Replicate(**_options(origin))
    client.predictions.get(prediction_id="fixed")
    growth = Growth()
    with Path(target).open("wb") as file:
        file.writelines(FileOutput(f"{origin}/bytes/{size}", client))
    return growth.read()


async def noticing(origin: str, seconds: list[float], **options: Any) -> Any:
    async with _client(origin) as client:
        await client.predictions.get(prediction_id="fixed")

        async def one(length: float) -> tuple[float, int]:
            output: Any = await client.run("a/b", input={"seconds": length}, **options)
            return time.monotonic() - output["finished_at"], output["requests"]

        meter = Meter()
        return meter.read(runs=await asyncio.gather(*map(one, seconds)))


async def held(origin: str, in_flight: int, hold: int, transport: str | None = None) -> Any:
    before = memory()
    async with _client(origin, transport) as client:
        await client.predictions.get(prediction_id="fixed")
        rest = memory()
        growth = Growth()
        await asyncio.gather(
            *(client.predictions.get(prediction_id=f"held-{hold}") for _ in range(in_flight))
        )
        return growth.read(rest=rest - before)


async def output(origin: str, size: int, count: int) -> Any:
    async with _client(origin) as client:
        await client.predictions.get(prediction_id="fixed")
        meter = Meter()
        for _ in range(count):
            await client.predictions.get(prediction_id=f"output-{size}")
        return meter.read(count=count)


async def page(origin: str, items: int, count: int) -> Any:
    async with _client(f"{origin}/page/{items}") as client:
        assert len((await client.predictions.list()).results) == items
        before = memory()
        meter = Meter()
        kept = [await client.predictions.list() for _ in range(count)]
        return meter.read(count=len(kept), kept=memory() - before)


if __name__ == "__main__":
    main(
        requests, sync_requests, threads, events, sync_events, latency, upload, download,
        noticing, held, output, page,
    )  # fmt: skip
