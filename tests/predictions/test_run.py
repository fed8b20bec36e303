"""`run()`: create, poll until the prediction has finished, return the output or raise."""

from __future__ import annotations

from typing import Any

import pytest

from dashscope import (
    ModelError,
    NotFoundError,
    PredictionCanceledError,
    PredictionError,
    PredictionTimeoutError,
)
from tests.servers.fake_server import FakeServer, Reply, prediction, reply
from tests.variants import variants


async def test_a_model_is_created_at_the_endpoint_of_the_model(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(
        [reply(prediction(), 201), reply(prediction("succeeded", output="hello Alice"))]
    )
    assert await scripted_client.run("owner/name", {"text": "Alice"}) == "hello Alice"
    assert fake_server.request_lines == [
        "POST /v1/models/owner/name/predictions",
        "GET /v1/predictions/p1",
    ]
    assert fake_server.requests[0].json == {"input": {"text": "Alice"}}
    assert "Prefer" not in fake_server.requests[0].headers


async def test_a_version_is_created_at_predictions(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(prediction("succeeded", output=[1, {"a": None}]), 201))
    assert await scripted_client.run("owner/name:abc", {}) == [1, {"a": None}]
    assert fake_server.request_lines == ["POST /v1/predictions"]
    assert fake_server.requests[0].json == {"version": "abc", "input": {}}


@variants(
    "ref", ["", "name", "owner/name:", "owner//name", "/name", "a/b/c", "owner/na me", None, 5]
)
async def test_an_invalid_reference_is_rejected_before_a_request(
    scripted_client: Any, fake_server: FakeServer, ref: Any
) -> None:
    error = ValueError if isinstance(ref, str) else TypeError
    with pytest.raises(error, match=r"owner/name or owner/name:version"):
        await scripted_client.run(ref, {})
    assert fake_server.requests == []


async def test_wait_is_sent_as_prefer(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(reply(prediction("succeeded", output=1), 201))
    assert await scripted_client.run("owner/name", {}, wait=7) == 1
    assert fake_server.requests[0].headers["Prefer"] == "wait=7"


async def test_timeout_is_sent_as_cancel_after(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(prediction("succeeded"), 201))
    await scripted_client.run("owner/name", {}, timeout=1.5)
    assert fake_server.requests[0].headers["Cancel-After"] == "7s"


async def test_a_webhook_is_sent(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(reply(prediction("succeeded"), 201))
    await scripted_client.run(
        "owner/name", {}, webhook="https://example.com/hook", webhook_events_filter=["completed"]
    )
    assert fake_server.requests[0].json == {
        "input": {},
        "webhook": "https://example.com/hook",
        "webhook_events_filter": ["completed"],
    }


async def test_progress_receives_each_state(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(
        [
            reply(prediction(), 201),
            reply(prediction("processing")),
            reply(prediction("succeeded", output=1)),
        ]
    )
    seen: list[str] = []
    await scripted_client.run("owner/name", {}, progress=lambda p: seen.append(p.status))
    assert seen == ["starting", "processing", "succeeded"]


async def test_progress_may_be_a_coroutine_function(
    scripted_client: Any, fake_server: FakeServer, flavor: str
) -> None:
    fake_server.respond_with([reply(prediction(), 201), reply(prediction("succeeded", output=1))])
    seen: list[str] = []

    async def progress(p: Any) -> None:
        seen.append(p.status)

    if flavor == "sync":
        with pytest.raises(TypeError, match="plain function"):
            await scripted_client.run("owner/name", {}, progress=progress)
        assert fake_server.requests == []
    else:
        await scripted_client.run("owner/name", {}, progress=progress)
        assert seen == ["starting", "succeeded"]


async def test_a_404_is_retried_only_right_after_the_create(
    scripted_client: Any,
    fake_server: FakeServer,
    no_jitter: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unknown = reply({"detail": "not found"}, 404)
    responses = [reply(prediction(), 201), unknown, reply(prediction("succeeded", output=1))]
    fake_server.respond_with(responses)
    assert await scripted_client.run("owner/name", {}) == 1
    monkeypatch.setattr("dashscope._predictions.watch.CREATE_SETTLE_TIME", 0.0)
    fake_server.respond_with(responses)
    with pytest.raises(NotFoundError):
        await scripted_client.run("owner/name", {})


async def test_a_response_hook_that_raises_cancels_the_prediction(
    make_client: Any, fake_server: FakeServer
) -> None:
    def hook(response: Any) -> None:
        if response.status == 201:
            raise ZeroDivisionError

    fake_server.respond_with(
        lambda received: (
            reply(prediction("canceled"))
            if received.path.endswith("/cancel")
            else reply(prediction(), 201)
        )
    )
    client = make_client(base_url=fake_server.base_url, event_hooks={"response": [hook]})
    with pytest.raises(ZeroDivisionError):
        await client.run("owner/name", {})
    assert fake_server.request_lines[1:] == ["POST /v1/predictions/p1/cancel"]


async def test_a_failed_prediction_raises_with_the_prediction(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(prediction("failed", error="no such word", logs="bye"), 201))
    with pytest.raises(ModelError, match="no such word") as caught:
        await scripted_client.run("owner/name", {})
    assert caught.value.prediction.logs == "bye"


@variants("status", ["canceled", "aborted"])
async def test_a_canceled_prediction_raises(
    scripted_client: Any, fake_server: FakeServer, status: str
) -> None:
    fake_server.respond_with(reply(prediction(status), 201))
    with pytest.raises(PredictionCanceledError, match=status) as caught:
        await scripted_client.run("owner/name", {})
    assert caught.value.prediction.status == status


async def test_a_removed_output_is_an_error(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(reply(prediction("succeeded", data_removed=True), 201))
    with pytest.raises(PredictionError, match="removed"):
        await scripted_client.run("owner/name", {})
    with pytest.raises(PredictionError, match="removed"):
        await scripted_client.wait("p1")


async def test_an_unknown_status_counts_as_running(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(
        [reply(prediction("dreaming"), 201), reply(prediction("succeeded", output=2))]
    )
    assert await scripted_client.run("owner/name", {}) == 2


async def test_a_timeout_cancels_the_prediction(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(
        lambda r: reply(prediction("canceled" if "cancel" in r.path else "processing"))
    )
    with pytest.raises(PredictionTimeoutError, match="processing") as caught:
        await scripted_client.run("owner/name", {}, timeout=1.0)
    assert isinstance(caught.value, TimeoutError)
    assert fake_server.request_lines[-1] == "POST /v1/predictions/p1/cancel"
    assert fake_server.request_lines.count("POST /v1/predictions/p1/cancel") == 1


async def test_an_exception_in_progress_cancels_the_prediction(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(prediction("processing")))

    def progress(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await scripted_client.run("owner/name", {}, progress=progress)
    assert fake_server.request_lines[-1] == "POST /v1/predictions/p1/cancel"


async def test_cancel_on_exit_false_leaves_it_running(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(prediction("processing")))
    with pytest.raises(PredictionTimeoutError):
        await scripted_client.run("owner/name", {}, timeout=1.0, cancel_on_exit=False)
    assert not any("cancel" in requested for requested in fake_server.request_lines)


async def test_a_failed_cancel_is_a_note(scripted_client: Any, fake_server: FakeServer) -> None:
    fake_server.respond_with(
        lambda r: reply({"detail": "no"}, 400) if "cancel" in r.path else reply(prediction())
    )
    with pytest.raises(PredictionTimeoutError) as caught:
        await scripted_client.run("owner/name", {}, timeout=0.8)
    assert "could not be canceled" in caught.value.__notes__[0]


async def test_a_finished_prediction_is_not_canceled(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(reply(prediction("succeeded")))

    def progress(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await scripted_client.run("owner/name", {}, progress=progress)
    assert fake_server.request_lines == ["POST /v1/models/owner/name/predictions"]


@variants(
    ("options", "message"),
    [
        ({"wait": 0}, "wait"),
        ({"wait": 61}, "wait"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": -1}, "poll_interval"),
        ({"poll_interval": float("nan")}, "poll_interval"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"webhook": "ftp://example.com"}, "webhook"),
        ({"webhook": "example.com"}, "webhook"),
        ({"webhook": "https://"}, "webhook"),
        ({"webhook_events_filter": ["started"]}, "'start', 'output', 'logs' or 'completed'"),
        ({"file_encoding": "zip"}, "file_encoding"),
    ],
)
async def test_an_out_of_range_option_is_rejected_before_a_request(
    scripted_client: Any, fake_server: FakeServer, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        await scripted_client.run("owner/name", {}, **options)
    assert fake_server.requests == []


@variants(
    ("input", "error", "message"),
    [
        ("text", TypeError, "mapping"),
        ([("text", "a")], TypeError, "mapping"),
        ({"x": object()}, TypeError, r"input\['x'\]"),
        ({"x": {1: 2}}, TypeError, "keys must be str"),
        ({"x": [float("nan")]}, ValueError, "JSON"),
        ({"x": [object()]}, TypeError, "neither"),
    ],
)
async def test_an_input_that_is_not_json_is_rejected_before_a_request(
    scripted_client: Any, fake_server: FakeServer, input: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await scripted_client.run("owner/name", input)
    assert fake_server.requests == []


async def test_a_prediction_without_an_id_is_rejected(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    from dashscope import APIResponseError

    fake_server.respond_with(reply({"status": "starting"}, 201))
    with pytest.raises(APIResponseError, match="id"):
        await scripted_client.run("owner/name", {})


async def test_an_html_response_is_quoted(scripted_client: Any, fake_server: FakeServer) -> None:
    from dashscope import APIResponseError

    fake_server.respond_with(
        Reply(201, {"content-type": "text/html"}, b"<html>Welcome to the proxy</html>")
    )
    with pytest.raises(APIResponseError, match=r"text/html.*Welcome to the proxy"):
        await scripted_client.run("owner/name", {})
