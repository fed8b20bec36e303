"""A server that counts. Predictions of `owner/seconds-S` take S seconds and return `value`."""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE_SIZE = 100
START = datetime.now(UTC)

ids: list[str] = []
times: list[str] = []
predictions: dict[str, dict[str, Any]] = {}
created: Counter[Any] = Counter()
requests: Counter[str] = Counter()
canceled: set[str] = set()
creates: list[float] = []


def create(path: str, body: bytes) -> dict[str, Any]:
    model = "/".join(path.split("/")[3:5])
    input = json.loads(body)["input"]
    now = time.monotonic()
    created_at = START + timedelta(microseconds=len(ids) + int((now - BEGAN) * 1e6))
    at, seconds = created_at.isoformat(), float(model.rpartition("-")[2])
    id = f"p{len(ids)}"
    document = {
        "id": id,
        "model": model,
        "version": "v1",
        "status": "starting",
        "input": input,
        "created_at": at,
    }
    ids.append(id)
    times.append(at)
    predictions[id] = {
        "document": document,
        "ends": now + seconds,
        "completed_at": (created_at + timedelta(seconds=seconds)).isoformat(),
        "seconds": seconds,
    }
    created[input["value"]] += 1
    creates.append(now)
    return shown(id)


def shown(id: str) -> dict[str, Any]:
    found = predictions[id]
    document: dict[str, Any] = found["document"]
    if id in canceled:
        return {**document, "status": "canceled"}
    if time.monotonic() < found["ends"]:
        return {**document, "status": "processing"}
    return {
        **document,
        "status": "succeeded",
        "output": document["input"]["value"],
        "completed_at": found["completed_at"],
        "logs": "",
        "metrics": {"predict_time": found["seconds"]},
    }


def listing(query: dict[str, list[str]]) -> dict[str, Any]:
    since = query.get("created_after", [""])[0]
    end = int(query.get("cursor", [str(len(ids))])[0])
    start = max(bisect_left(times, since), end - PAGE_SIZE)
    page = [shown(ids[place]) for place in range(end - 1, start - 1, -1)]
    more = start > 0 and len(page) == PAGE_SIZE
    cursor = f"http://here/v1/predictions?cursor={start}&created_after={since}"
    return {
        "next": cursor.replace("+", "%2B") if more else None,
        "previous": None,
        "results": page,
    }


def answer(method: str, target: str, body: bytes) -> Any:
    parts = urlsplit(target)
    path = parts.path
    if path == "/stats":
        return stats()
    if path == "/created":
        return len(created)
    if path.startswith("/v1/models/") and method == "GET":
        return model(path)
    if method == "POST" and path.endswith("/cancel"):
        id = path.split("/")[-2]
        requests["cancel"] += 1
        canceled.add(id)
        return shown(id)
    if method == "POST":
        requests["create"] += 1
        return create(path, body)
    if path == "/v1/predictions":
        requests["list"] += 1
        return listing(parse_qs(parts.query))
    requests["get"] += 1
    return shown(path.rpartition("/")[2])


def stats() -> dict[str, Any]:
    found = {
        "rows": len(created),
        "created": len(ids),
        "twice": sum(count > 1 for count in created.values()),
        "canceled": len(canceled),
        "requests": dict(requests),
        "seconds": creates[-1] - creates[0] if creates else 0.0,
    }
    for each in (ids, times, predictions, created, requests, canceled, creates):
        each.clear()  # type: ignore[attr-defined]
    return found


def model(path: str) -> dict[str, Any]:
    _, _, _, owner, name = path.split("/")[:5]
    properties = {"value": {"title": "Value"}}
    schemas = {"Input": {"type": "object", "properties": properties}, "Output": {}}
    version = {
        "id": "v1",
        "created_at": START.isoformat(),
        "cog_version": "0.9",
        "openapi_schema": {"components": {"schemas": schemas}},
    }
    return {"owner": owner, "name": name, "url": "", "latest_version": version}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            method, target, _ = head.split(" ", 2)
            length = head.lower().partition("content-length: ")[2].split("\r\n")[0]
            body = await reader.readexactly(int(length or 0))
            content = json.dumps(answer(method, target, body)).encode()
            status = b"201 Created" if method == "POST" else b"200 OK"
            writer.write(
                b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
                % (status, len(content), content)
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


BEGAN = time.monotonic()
if __name__ == "__main__":
    asyncio.run(main())
