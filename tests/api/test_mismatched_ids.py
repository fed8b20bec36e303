"""A response about another object than the one requested raises."""

from __future__ import annotations

from typing import Any

import pytest

from dashscope import APIResponseError
from tests.resources.contract import FILE, TRAINING, VERSION
from tests.servers.fake_server import FakeServer, prediction, reply


async def test_a_response_about_another_id_raises(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    other = {"id": "other"}
    calls = [
        (
            lambda: scripted_client.predictions.get("p1"),
            prediction("succeeded", **other),
            "prediction",
        ),
        (
            lambda: scripted_client.predictions.cancel("p1"),
            prediction("canceled", **other),
            "prediction",
        ),
        (lambda: scripted_client.wait("p1"), prediction("succeeded", **other), "prediction"),
        (lambda: scripted_client.trainings.get("p1"), TRAINING | other, "training"),
        (lambda: scripted_client.trainings.cancel("p1"), TRAINING | other, "training"),
        (lambda: scripted_client.files.get("p1"), FILE | other, "file"),
        (
            lambda: scripted_client.models.versions.get("owner", "name", "p1"),
            VERSION | other,
            "version",
        ),
    ]
    for call, body, what in calls:
        fake_server.respond_with(reply(body))
        with pytest.raises(APIResponseError, match=f"the {what} 'other' instead of 'p1'"):
            await call()


async def test_a_poll_with_another_id_never_returns_its_output(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    def script(received: Any) -> Any:
        if received.method == "POST":
            return reply(prediction("starting"), 201)
        return reply(prediction("succeeded", id="other", output="of another caller"))

    fake_server.respond_with(script)
    with pytest.raises(APIResponseError, match="the prediction 'other' instead of 'p1'"):
        await scripted_client.run("owner/name", {})
