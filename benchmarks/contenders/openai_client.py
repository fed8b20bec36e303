"""`openai`, which has no predictions: its most similar request, and its streams."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from harness import (
    Delays,
    Growth,
    hammer,
    hammer_sync,
    hammer_threads,
    main,
    memory,
    tally,
    tally_async,
)
from openai import AsyncOpenAI, OpenAI

MESSAGES: Any = [{"role": "user", "content": "hello"}]


def _options(origin: str) -> dict[str, Any]:
    return {"api_key": "token", "base_url": f"{origin}/v1", "timeout": 120, "max_retries": 0}


async def requests(origin: str, in_flight: int, total: int) -> Any:
    async with AsyncOpenAI(**_options(origin)) as client:
        return await hammer(
            lambda: client.models.retrieve("fixed"), in_flight=in_flight, total=total
        )


def sync_requests(origin: str, total: int) -> Any:
    client = OpenAI(**_options(origin))
    return hammer_sync(lambda: client.models.retrieve("fixed"), total=total)


def threads(origin: str, count: int, total: int) -> Any:
    client = OpenAI(**_options(origin))
    return hammer_threads([lambda: client.models.retrieve("fixed")] * count, total=total)


async def events(origin: str, stream: str) -> Any:
    async with AsyncOpenAI(**_options(origin)) as client:
        events = await client.chat.completions.create(model=stream, messages=MESSAGES, stream=True)
        return await tally_async(events)


def sync_events(origin: str, stream: str) -> Any:
    client = OpenAI(**_options(origin))
    return tally(client.chat.completions.create(model=stream, messages=MESSAGES, stream=True))


async def decoded(origin: str, stream: str) -> Any:
    """Its event decoder alone, which is internal."""
    from openai._streaming import SSEDecoder

    async with AsyncOpenAI(**_options(origin)) as client:
        call = client.chat.completions.with_streaming_response.create
        async with call(model=stream, messages=MESSAGES, stream=True) as response:
            return await tally_async(SSEDecoder().aiter_bytes(response.http_response.aiter_bytes()))


async def latency(origin: str) -> Any:
    delays = Delays()
    async with AsyncOpenAI(**_options(origin)) as client:
        async for chunk in await client.chat.completions.create(
            model="latency", messages=MESSAGES, stream=True
        ):
            delays.take(chunk.choices[0].delta.content if chunk.choices else None)
    return delays.read()


def upload(origin: str, paths: list[str]) -> Any:
    client = OpenAI(**_options(origin))
    client.models.retrieve("fixed")
    growth = Growth()
    for path in paths:
        client.files.create(file=Path(path), purpose="user_data")
    return growth.read()


async def held(origin: str, in_flight: int, hold: int) -> Any:
    before = memory()
    async with AsyncOpenAI(**_options(origin)) as client:
        await client.models.retrieve("fixed")
        rest = memory()
        growth = Growth()
        await asyncio.gather(*(client.models.retrieve(f"held-{hold}") for _ in range(in_flight)))
        return growth.read(rest=rest - before)


if __name__ == "__main__":
    main(
        requests, sync_requests, threads, events, sync_events, decoded, latency, upload,
        held,
    )  # fmt: skip
