"""The token appears in no log, repr, error, pickle or variable."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest

from dashscope import Request
from tests.servers.fake_server import DROP, FakeServer, Received, Reply, prediction, reply

TOKEN = "r8_a-Secret+That/Nobody=Guesses"


def response(received: Received, fake_server: FakeServer, *, echo: bool) -> Reply:
    """Return a response by the last path segment. Some responses repeat the token everywhere."""
    sent = received.headers.get("Authorization", "nothing") if echo else "a token"
    case = received.path.removesuffix("/predictions").rpartition("/")[2]
    refusal = {"detail": f"You sent {sent}.", "title": sent, "status": 401}
    if received.path.endswith("/cancel"):
        return reply(prediction("canceled"))
    if received.path.startswith("/v1/predictions/"):
        return reply(prediction("processing"))
    responses = {
        "401": reply(refusal, 401, x_echo=sent, x_request_id=sent),
        "503": reply(refusal, 503, x_echo=sent),
        "echo": reply({"id": 5, "sent": sent}, 201),
        "drop": DROP,
        "html": Reply(200, {"content-type": f"text/html; echo={sent}"}, f"<p>{sent}".encode()),
        "large": Reply(200, {}, sent.encode() * 1000),
        "gzip": Reply(200, {"content-encoding": "gzip"}, sent.encode()),
        "slow": attrs.evolve(reply(refusal), delay=0.8),
        "wrong": reply([sent], 201),
        "redirect": Reply(302, {"location": f"http://127.0.0.1:1/{sent}"}),
        "file": reply(prediction("succeeded", output=fake_server.base_url + "/401"), 201),
        "failed": reply(prediction("failed", error="It failed.", logs="bye"), 201),
        "forever": reply(prediction("processing"), 201),
        "stream": reply(prediction(urls={"stream": fake_server.base_url + "/401"}), 201),
        "good": reply({"owner": "acme", "name": "good"}),
    }
    return responses[case]


@pytest.mark.parametrize(
    ("echoed", "plain"),
    [("asyncio", "sync"), pytest.param("sync", "asyncio", marks=pytest.mark.soak)],
)
def test_a_debugging_session_never_prints_the_token(
    fake_server: FakeServer, other_fake_server: FakeServer, echoed: str, plain: str
) -> None:
    """One server repeats the token, in a session of one client, and the other one does not."""
    fake_server.respond_with(lambda received: response(received, fake_server, echo=True))
    other_fake_server.respond_with(
        lambda received: response(received, other_fake_server, echo=False)
    )
    done = subprocess.run(
        [
            *(sys.executable, str(Path(__file__).with_name("debug_session.py"))),
            *(echoed, "echo", fake_server.base_url),
            *(plain, "plain", other_fake_server.base_url),
        ],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, [Path.cwd(), *filter(None, sys.path)])),
            "DASHSCOPE_API_TOKEN": TOKEN,
            "DASHSCOPE_LOG": "debug",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    printed = done.stdout + done.stderr
    sessions = printed.partition(f"THE END of {echoed}")
    assert f"THE END of {plain}" in sessions[2]
    # The session did print errors of each kind, the variables of our frames, and the log.
    for server in (fake_server, other_fake_server):
        assert {f"Bearer {TOKEN}"} <= {r.headers.get("Authorization") for r in server.requests}
    for word in (
        "ERROR ConfigurationError",
        "ERROR AuthenticationError",
        "ERROR InternalServerError",
        "ERROR APIConnectionError",
        "ERROR APITimeoutError",
        "ERROR APIResponseError",
        "ERROR ModelError",
        "a hook got",
        "Token('***')",
    ):
        assert word in sessions[0], word
        assert word in sessions[2], word
    for word in ("dashscope DEBUG", "Requestor.send request", "DEBUG:httpcore"):
        assert word in printed, word
    hidden = [TOKEN, repr(TOKEN.encode())[2:-1], quote(TOKEN, safe="")]
    hidden += [base64.b64encode(f"Bearer {TOKEN}".encode()).decode(), TOKEN[:20], TOKEN[-20:]]
    lines = [line for line in printed.splitlines() if any(word in line for word in hidden)]
    assert lines == [], "\n".join(line[:300] for line in lines[:40])


async def test_an_authorization_header_of_the_caller_replaces_the_token(
    make_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply({}))
    shown: list[str] = []
    client = make_client(
        TOKEN,
        base_url=fake_server.base_url,
        headers={"authorization": "Basic c2VjcmV0", "Cookie": "session=secret"},
        event_hooks={"request": [lambda request: shown.append(repr(request))]},
    )
    await client.request("GET", "/x")
    await client.request("GET", "/x", headers={"AUTHORIZATION": "Bearer other"})
    sent = [
        {k.lower(): v for k, v in r.headers.items()}["authorization"] for r in fake_server.requests
    ]
    assert sent == ["Basic c2VjcmV0", "Bearer other"]
    assert len(shown) == 2
    for text in (*shown, repr(api_of(client).config)):
        assert "***" in text
        assert not any(word in text for word in ("c2VjcmV0", "session=secret", "other"))


async def test_a_hook_cannot_send_invalid_headers(
    make_client: Any, fake_server: FakeServer
) -> None:
    def spoil(request: Request) -> Request:
        return attrs.evolve(request, headers={**request.headers, "X": "a\r\nX-Evil: 1"})

    client = make_client(base_url=fake_server.base_url, event_hooks={"request": [spoil]})
    with pytest.raises(ValueError, match="the header X"):
        await client.account.get()
    assert fake_server.requests == []


async def test_a_request_that_a_hook_redirects_has_no_token(
    make_client: Any, fake_server: FakeServer
) -> None:
    other = FakeServer()
    other.respond_with(Reply(200, {}, b"x"))
    client = make_client(
        TOKEN,
        base_url=fake_server.base_url,
        event_hooks={
            "request": [lambda request: attrs.evolve(request, url=other.base_url + "/elsewhere")]
        },
    )
    await client.request("GET", "/x")
    async with client.files.download("f1", owner="a", expiry=1, signature="s") as download:
        await download.read()
    other.close()
    assert other.request_lines == ["GET /v1/elsewhere"] * 2
    assert [received.headers.get("Authorization") for received in other.requests] == [None, None]


def api_of(client: Any) -> Any:
    return (client._value._async if hasattr(client, "_value") else client)._api
