"""A name or an id is rejected, or reaches the server unchanged and as one path segment."""

from __future__ import annotations

import json
from urllib.parse import unquote

import httpx

from dashscope import DashscopeError
from tests.fuzz.scripted import client_of

SEEDS = (
    b"\x00model",
    b"\x00..",
    b"\x01a/../b",
    b"\x01%2e%2e",
    b"\x02owner/name",
    b"\x02owner/name:version",
    b"\x02../..:v",
    b"\x02a b/c",
    "\x02ö/ü:ß".encode(),
    b"\x03x\r\nInjected: yes",
    b"\x00\xed\xa0\x80",
    b"\x02a/b:c:d",
    b"\x02?a/#b",
)


def one_input(data: bytes) -> None:
    choice = (data[0] if data else 0) % 4
    try:
        text = data[1:].decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        text = data[1:].decode("latin-1")
    requested: list[httpx.Request] = []

    def response(request: httpx.Request) -> httpx.Response:
        requested.append(request)
        return httpx.Response(422, json={"detail": "as scripted"})

    client = client_of(response)
    try:
        if choice == 0:
            client.predictions.get(text)
        elif choice == 1:
            client.models.versions.get("owner", text, "version")
        elif choice == 2:
            client.run(text, {"text": text})
        else:
            client.predictions.create(version=text, input={text: text})
    except (ValueError, DashscopeError):
        pass
    if not requested:
        return
    (request,) = requested
    assert (request.url.scheme, request.url.host) == ("https", "api.example.com")
    assert set(request.headers) <= {
        "host", "accept", "accept-encoding", "connection", "user-agent", "authorization",
        "content-type", "content-length",
    }  # fmt: skip
    target = request.url.raw_path.decode("ascii")
    assert "?" not in target
    received = [unquote(part, errors="surrogatepass") for part in target.split("/")[1:]]
    if choice == 0:
        assert received == ["v1", "predictions", text]
    elif choice == 1:
        assert received == ["v1", "models", "owner", text, "versions", "version"]
    elif choice == 3:
        assert received == ["v1", "predictions"]
        assert json.loads(request.content) == {"version": text, "input": {text: text}}
    elif ":" in text:
        assert received == ["v1", "predictions"]
        body = json.loads(request.content)
        assert body == {"version": text.rpartition(":")[2], "input": {"text": text}}
    else:
        assert received == ["v1", "models", *text.split("/"), "predictions"]
