"""Plain `httpx`, with `httpx-sse` for streams: the baseline for the overhead of a client."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import httpx
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

HEADERS = {"Authorization": "Bearer token", "User-Agent": "bench/1"}


def _options(ca: str | None = None, http2: bool = False) -> dict[str, Any]:
    verify = ssl.create_default_context(cafile=ca) if ca else True
    return {"headers": HEADERS, "timeout": 120, "verify": verify, "http2": http2}


def _async_client(transport: str | None = None, **options: Any) -> httpx.AsyncClient:
    made = _options(**options)
    if transport == "aiohttp":
        from httpx_aiohttp import AiohttpTransport

        return httpx.AsyncClient(transport=AiohttpTransport(), headers=HEADERS, timeout=120)
    return httpx.AsyncClient(**made)


async def requests(
    origin: str, in_flight: int, total: int, transport: str | None = None, **options: Any
) -> Any:
    async with _async_client(transport, **options) as client:

        async def get() -> Any:
            response = await client.get(f"{origin}/v1/predictions/fixed")
            return response.raise_for_status().json()

        return await hammer(get, in_flight=in_flight, total=total)


def sync_requests(origin: str, total: int, **options: Any) -> Any:
    with httpx.Client(**_options(**options)) as client:
        return hammer_sync(lambda: client.get(f"{origin}/v1/predictions/fixed").json(), total=total)


def threads(origin: str, count: int, total: int) -> Any:
    """Each thread has a separate client."""
    context = ssl.create_default_context()
    clients = [httpx.Client(headers=HEADERS, timeout=120, verify=context) for _ in range(count)]
    calls = [
        lambda client=client: client.get(f"{origin}/v1/predictions/fixed").json()
        for client in clients
    ]
    return hammer_threads(calls, total=total)


def _stream_url(client: httpx.Client, origin: str, stream: str) -> str:
    made = client.post(f"{origin}/v1/models/a/b/predictions", json={"input": {"stream": stream}})
    url: str = made.json()["urls"]["stream"]
    return url


async def events(origin: str, stream: str) -> Any:
    from httpx_sse import aconnect_sse

    with httpx.Client() as opener:
        url = _stream_url(opener, origin, stream)
    async with _async_client() as client, aconnect_sse(client, "GET", url) as source:
        return await tally_async(source.aiter_sse())


def sync_events(origin: str, stream: str) -> Any:
    from httpx_sse import connect_sse

    with httpx.Client(timeout=120) as client:
        url = _stream_url(client, origin, stream)
        with connect_sse(client, "GET", url) as source:
            return tally(source.iter_sse())


async def latency(origin: str) -> Any:
    from httpx_sse import aconnect_sse

    delays = Delays()
    with httpx.Client() as opener:
        url = _stream_url(opener, origin, "latency")
    async with _async_client() as client, aconnect_sse(client, "GET", url) as source:
        async for event in source.aiter_sse():
            delays.take(event.data)
    return delays.read()


def upload(origin: str, paths: list[str]) -> Any:
    with httpx.Client(timeout=120) as client:
        client.get(f"{origin}/v1/predictions/fixed")
        growth = Growth()
        for path in paths:
            with Path(path).open("rb") as content:
                client.post(f"{origin}/v1/files", files={"content": content}).raise_for_status()
        return growth.read()


def download(origin: str, size: int, target: str) -> Any:
    with httpx.Client(timeout=120) as client:
        client.get(f"{origin}/v1/predictions/fixed")
        growth = Growth()
        with (
            client.stream("GET", f"{origin}/bytes/{size}") as response,
            Path(target).open("wb") as file,
        ):
            file.writelines(response.iter_bytes())
        return growth.read()


async def held(origin: str, in_flight: int, hold: int) -> Any:
    before = memory()
    async with httpx.AsyncClient(timeout=120, limits=httpx.Limits()) as client:
        await client.get(f"{origin}/v1/predictions/fixed")
        rest = memory()
        growth = Growth()
        await asyncio.gather(
            *(client.get(f"{origin}/v1/predictions/held-{hold}") for _ in range(in_flight))
        )
        return growth.read(rest=rest - before)


async def output(origin: str, size: int, count: int) -> Any:
    async with _async_client() as client:
        meter = Meter()
        for _ in range(count):
            (await client.get(f"{origin}/v1/predictions/output-{size}")).json()
        return meter.read(count=count)


async def page(origin: str, items: int, count: int) -> Any:
    async with _async_client() as client:
        await client.get(f"{origin}/page/{items}/v1/predictions")
        meter = Meter()
        kept = [
            (await client.get(f"{origin}/page/{items}/v1/predictions")).json() for _ in range(count)
        ]
        return meter.read(count=len(kept))


if __name__ == "__main__":
    main(
        requests, sync_requests, threads, events, sync_events, latency, upload, download,
        held, output, page,
    )  # fmt: skip
