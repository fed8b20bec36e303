"""Webhooks: signed, in order, throttled, retried, and never lost."""

import base64
import hashlib
import hmac
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest

from dashscope.local import LocalServer
from dashscope.local.jobs import webhooks
from tests.local.conftest import MODELS
from tests.servers.webhook_receiver import Receiver
from tests.variants import variants
from tests.waiting import wait_for_status, wait_until


@pytest.fixture
def start(http: httpx.Client, receiver: Receiver) -> Callable[..., dict[str, Any]]:
    def start(name: str, events: list[str] | None = None, **inputs: Any) -> dict[str, Any]:
        body: dict[str, Any] = {"input": inputs, "webhook": receiver.url}
        if events is not None:
            body["webhook_events_filter"] = events
        response = http.post(f"/models/{name}/predictions", json=body)
        assert response.status_code == 201, response.text
        return response.json()

    return start


Start = Callable[..., dict[str, Any]]


def test_webhooks_sign_the_exact_bytes(
    http: httpx.Client, receiver: Receiver, start: Start
) -> None:
    start("dashscope/hello-world", ["completed"], text="Ä")
    wait_until(lambda: receiver.received)
    headers, body, _ = receiver.received[0]
    key = base64.b64decode(http.get("/webhooks/default/secret").json()["key"][len("whsec_") :])
    message = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(key, message, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 10


def test_the_body_equals_the_response_of_a_get(
    http: httpx.Client, receiver: Receiver, start: Start
) -> None:
    prediction = start("test/image", ["completed"])
    wait_until(lambda: receiver.received)
    text = receiver.received[0].json
    assert text == http.get(prediction["urls"]["get"]).json()
    assert httpx.get(text["output"]).headers["content-type"] == "image/png"


def test_start_and_completed_are_always_sent_and_the_rest_throttled(
    receiver: Receiver, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    for interval in (0.0, 1000.0):
        monkeypatch.setattr(webhooks, "INTERVAL", interval)
        receiver.received.clear()
        start("test/parts", ["start", "output", "logs", "completed"], count=20, delay=0.01)
        wait_until(lambda: receiver.statuses()[-1:] == ["succeeded"])
        first, *between, last = receiver.received
        assert first.json["output"] is None
        assert first.json["status"] == "processing"
        assert len(between) == 1 if interval else between
        lengths = [len(one.json["output"] or []) for one in (*between, last)]
        assert lengths == sorted(lengths)
        assert lengths[-1] == 20


@pytest.mark.parametrize(
    ("events", "text"),
    [
        (["completed"], ["succeeded"]),
        (["start"], ["processing"]),
        (["start", "completed"], ["processing", "succeeded"]),
        (None, ["processing", "succeeded"]),
        ([], []),
    ],
)
def test_only_the_requested_events_are_sent(
    http: httpx.Client, receiver: Receiver, start: Start, events: list[str] | None, text: list[str]
) -> None:
    wait_for_status(http, start("dashscope/hello-world", events, text="x"), "succeeded")
    wait_until(lambda: len(receiver.received) >= len(text))
    time.sleep(0.1)
    assert receiver.statuses() == text


def test_a_failed_delivery_is_retried_with_the_same_id(receiver: Receiver, start: Start) -> None:
    receiver.respond_with((500, {}), (404, {}))
    with mock.patch.object(webhooks, "MIN_DELAY", 0.05):
        start("dashscope/hello-world", ["completed"], text="x")
        wait_until(lambda: len(receiver.received) == 3)
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 1
    assert len({received.body for received in receiver.received}) == 1


def test_a_delivery_that_times_out_is_retried(receiver: Receiver, start: Start) -> None:
    receiver.delay = 0.3
    with (
        mock.patch.object(webhooks, "MIN_DELAY", 0.05),
        mock.patch.object(webhooks, "TIMEOUT", 0.1),
    ):
        start("dashscope/hello-world", ["completed"], text="x")
        wait_until(lambda: len(receiver.received) >= 2)
        receiver.delay = 0.0
        seen = len(receiver.received)
        wait_until(lambda: len(receiver.received) > seen)


def test_retries_end_after_the_last_attempt(receiver: Receiver, start: Start) -> None:
    receiver.respond_with(*[(500, {})] * 3)
    with (
        mock.patch.object(webhooks, "MIN_DELAY", 0.01),
        mock.patch.object(webhooks, "ATTEMPTS", 3),
    ):
        start("dashscope/hello-world", ["completed"], text="x")
        wait_until(lambda: len(receiver.received) == 3)
        time.sleep(0.3)
    assert len(receiver.received) == 3


def test_deliveries_stay_in_order_despite_a_failure(receiver: Receiver, start: Start) -> None:
    receiver.respond_with((503, {}), (503, {}))
    with mock.patch.object(webhooks, "MIN_DELAY", 0.1):
        start("dashscope/hello-world", ["start", "completed"], text="x")
        wait_until(lambda: receiver.statuses()[-1:] == ["succeeded"])
    assert receiver.statuses() == ["processing", "processing", "processing", "succeeded"]


def test_redirects_are_not_followed(receiver: Receiver, start: Start) -> None:
    receiver.respond_with((302, {"location": receiver.url}))
    with mock.patch.object(webhooks, "MIN_DELAY", 0.05):
        start("dashscope/hello-world", ["completed"], text="x")
        wait_until(lambda: len(receiver.received) == 2)
    assert receiver.statuses() == ["succeeded", "succeeded"]


def test_a_delivery_survives_a_restart(receiver: Receiver, tmp_path: Path) -> None:
    receiver.respond_with((500, {}))
    body = {"input": {}, "webhook": receiver.url, "webhook_events_filter": ["completed"]}
    with (
        mock.patch.object(webhooks, "MIN_DELAY", 30.0),
        LocalServer(models=MODELS, data=tmp_path) as server,
    ):
        httpx.post(f"{server.base_url}/models/test/image/predictions", json=body)
        wait_until(lambda: receiver.received)
    assert len(receiver.received) == 1
    with LocalServer(data=tmp_path) as server:
        wait_until(lambda: len(receiver.received) == 2)
        text = receiver.received[1].json
        assert text["output"].startswith(server.base_url)
        assert httpx.get(text["output"]).status_code == 200


def test_trainings_send_webhooks(http: httpx.Client, receiver: Receiver) -> None:
    body = {"owner": "local", "name": "told", "visibility": "private", "hardware": "cpu"}
    http.post("/models", json=body)
    version = http.get("/models/test/trainable").json()["latest_version"]["id"]
    response = http.post(
        f"/models/test/trainable/versions/{version}/trainings",
        json={
            "destination": "local/told",
            "input": {"text": "data:text/plain,abc"},
            "webhook": receiver.url,
        },
    )
    assert response.status_code == 201, response.text
    wait_until(lambda: receiver.received)
    text = receiver.received[-1].json
    assert text["output"]["version"].startswith("local/told:")
    assert text == http.get(response.json()["urls"]["get"]).json()


@variants(
    "url",
    ["ftp://example.com", "example.com", "", "http://", "https:///x", "http://a b/",
     "http://example.com:port/", "javascript:alert(1)", "http://[::1", "http://ex\u0000ample.com"],
)  # fmt: skip
def test_the_url_must_be_http(http: httpx.Client, url: str) -> None:
    response = http.post(
        "/models/dashscope/hello-world/predictions", json={"input": {"text": ""}, "webhook": url}
    )
    assert response.status_code == 400
    assert "webhook" in response.json()["detail"]


def test_an_unknown_event_is_rejected(http: httpx.Client) -> None:
    body = {
        "input": {"text": ""},
        "webhook": "https://example.com",
        "webhook_events_filter": ["finished"],
    }
    response = http.post("/models/dashscope/hello-world/predictions", json=body)
    assert response.status_code == 400
    assert "'finished' is not an event" in response.json()["detail"]


def test_an_unreachable_receiver_does_not_delay_others(receiver: Receiver) -> None:
    with (
        mock.patch.object(webhooks, "MAX_IN_FLIGHT", 2),
        LocalServer() as server,
        httpx.Client(base_url=server.base_url) as http,
        socket.create_server(("127.0.0.1", 0), backlog=64) as dead,
    ):
        dead_url = f"http://127.0.0.1:{dead.getsockname()[1]}/"
        started = time.monotonic()
        for url in (*[dead_url] * 3 * webhooks.MAX_IN_FLIGHT, receiver.url):
            body = {"input": {"text": "x"}, "webhook": url, "webhook_events_filter": ["completed"]}
            http.post("/models/dashscope/hello-world/predictions", json=body)
        wait_until(lambda: receiver.received)
        assert time.monotonic() - started < webhooks.TIMEOUT / 2
