"""A minimal, fast server for long batches, which runs in its own process.

The server stores only the latest predictions. Each one has succeeded at the first poll.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAX_STORED = 4000
PAGE_SIZE = 100

created: deque[dict[str, Any]] = deque(maxlen=MAX_STORED)
count = 0
start = datetime.now(UTC)


def create(body: bytes) -> dict[str, Any]:
    global count
    count += 1
    document = {
        "id": f"p{count}",
        "model": "owner/name",
        "version": "v1",
        "status": "starting",
        "input": json.loads(body)["input"],
        "created_at": (start + timedelta(microseconds=count)).isoformat(),
    }
    created.append(document)
    return document


def finished(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "status": "succeeded", "output": document["input"]["value"]}


def listing(query: dict[str, list[str]]) -> dict[str, Any]:
    since = query.get("created_after", [""])[0]
    offset = int(query.get("cursor", ["0"])[0])
    page: list[dict[str, Any]] = []
    for document in list(created)[len(created) - 1 - offset :: -1]:
        if document["created_at"] < since or len(page) == PAGE_SIZE:
            break
        page.append(finished(document))
    cursor = f"http://here/v1/predictions?cursor={offset + PAGE_SIZE}&created_after={since}"
    more = len(page) == PAGE_SIZE
    return {
        "next": cursor.replace("+", "%2B") if more else None,
        "previous": None,
        "results": page,
    }


def answer(method: str, target: str, body: bytes) -> dict[str, Any]:
    parts = urlsplit(target)
    if method == "POST":
        return create(body)
    if parts.path == "/v1/predictions":
        return listing(parse_qs(parts.query))
    id = parts.path.rpartition("/")[2]
    return finished(next(document for document in created if document["id"] == id))


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
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
