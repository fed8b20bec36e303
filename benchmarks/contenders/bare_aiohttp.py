"""Plain `aiohttp`: the performance of a client without other features."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from harness import Growth, hammer, main, memory

HEADERS = {"Authorization": "Bearer token", "User-Agent": "bench/1"}


async def requests(origin: str, in_flight: int, total: int) -> Any:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:

        async def get() -> Any:
            async with session.get(f"{origin}/v1/predictions/fixed") as response:
                return await response.json()

        return await hammer(get, in_flight=in_flight, total=total)


async def held(origin: str, in_flight: int, hold: int) -> Any:
    before = memory()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:

        async def get(path: str) -> None:
            async with session.get(f"{origin}/v1/predictions/{path}") as response:
                await response.json()

        await get("fixed")
        rest = memory()
        growth = Growth()
        await asyncio.gather(*(get(f"held-{hold}") for _ in range(in_flight)))
        return growth.read(rest=rest - before)


if __name__ == "__main__":
    main(requests, held)
