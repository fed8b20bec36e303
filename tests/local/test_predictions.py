"""Predictions: creating, waiting, canceling and listing."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dashscope.local.http import requests
from tests.stopwatch import Stopwatch
from tests.variants import variants
from tests.waiting import wait_for_status, wait_until

Run = Callable[..., dict[str, Any]]


class TestCreating:
    def test_create_accepts_a_version_in_three_forms(self, http: httpx.Client) -> None:
        version = http.get("/models/dashscope/hello-world").json()["latest_version"]["id"]
        for form in (version, f"dashscope/hello-world:{version}", "dashscope/hello-world"):
            response = http.post(
                "/predictions",
                json={"version": form, "input": {"text": "Alice"}},
                headers={"Prefer": "wait"},
            )
            assert response.status_code == 201
            prediction = response.json()
            assert prediction["output"] == "hello Alice"
            assert prediction["version"] == version
            assert prediction["model"] == "dashscope/hello-world"

    def test_without_prefer_create_returns_starting(self, create: Run) -> None:
        prediction = create("test/sleep", seconds=0.01)
        assert prediction["status"] == "starting"
        assert prediction["output"] is None
        assert prediction["logs"] == ""
        assert not {"started_at", "completed_at", "metrics", "deadline"} & prediction.keys()

    def test_a_finished_prediction_has_times_and_metrics(self, run: Run) -> None:
        prediction = run("dashscope/hello-world", text="Bob")
        assert prediction["status"] == "succeeded"
        created, started, completed = (
            datetime.fromisoformat(prediction[name])
            for name in ("created_at", "started_at", "completed_at")
        )
        assert created <= started <= completed
        metrics = prediction["metrics"]
        assert 0 <= metrics["predict_time"] <= metrics["total_time"] < 30

    def test_unknown_fields_of_the_body_are_ignored(self, http: httpx.Client) -> None:
        response = http.post(
            "/models/dashscope/hello-world/predictions",
            json={"input": {"text": "x"}, "stream": True, "later": 1},
        )
        assert response.status_code == 201

    @variants(
        ("path", "body", "status"),
        [
            ("/predictions", {"version": "nope/nope", "input": {}}, 404),
            ("/predictions", {"version": "0" * 64, "input": {}}, 404),
            ("/predictions", {"version": "dashscope/hello-world:" + "0" * 64, "input": {}}, 404),
            ("/predictions", {"version": "", "input": {}}, 404),
            ("/predictions", {"input": {}}, 422),
            ("/predictions", {"version": 5, "input": {}}, 422),
            ("/models/nope/nope/predictions", {"input": {}}, 404),
            ("/models/dashscope/hello-world/predictions", {}, 422),
            ("/models/dashscope/hello-world/predictions", {"input": []}, 422),
            ("/models/dashscope/hello-world/predictions", {"input": {}}, 422),
            ("/models/dashscope/hello-world/predictions", {"input": {"text": 1}}, 422),
            ("/deployments/local/nope/predictions", {"input": {}}, 404),
        ],
    )
    def test_invalid_creates_are_rejected(
        self, http: httpx.Client, path: str, body: dict[str, Any], status: int
    ) -> None:
        response = http.post(path, json=body)
        assert response.status_code == status
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status

    @variants(
        ("inputs", "message"),
        [
            ({}, "input.text is required."),
            ({"text": 5}, "input.text: input should be a valid string."),
            ({"text": "", "count": 11}, "input.count: input should be less than or equal to 10."),
            ({"text": "", "count": "3"}, "input.count: input should be a valid integer."),
            ({"text": "", "size": "huge"}, "input.size: input should be 'small' or 'large'."),
        ],
    )
    def test_the_error_names_the_invalid_input(
        self, http: httpx.Client, inputs: dict[str, Any], message: str
    ) -> None:
        response = http.post("/models/test/typed/predictions", json={"input": inputs})
        assert response.status_code == 422
        assert message in response.json()["detail"]


class TestWaiting:
    def test_a_blocking_create_returns_when_the_prediction_finishes(
        self, http: httpx.Client
    ) -> None:
        start = Stopwatch()
        response = http.post(
            "/models/test/sleep/predictions",
            json={"input": {"seconds": 0.3}},
            headers={"Prefer": "wait=10"},
        )
        assert response.status_code == 201
        assert response.headers["preference-applied"] == "wait=10"
        assert response.json()["output"] == "slept"
        assert start.wall >= 0.3
        assert start.adjusted < 5

    def test_a_blocking_create_returns_202_at_its_timeout(self, http: httpx.Client) -> None:
        start = Stopwatch()
        response = http.post(
            "/models/test/sleep/predictions",
            json={"input": {"seconds": 30}},
            headers={"Prefer": "wait=1"},
        )
        assert start.wall > 0.5
        assert start.adjusted < 1
        assert response.status_code == 202
        prediction = response.json()
        assert prediction["status"] == "starting"
        assert "started_at" not in prediction
        assert wait_for_status(http, prediction, "processing")["logs"] == "sleeping\n"
        http.post(prediction["urls"]["cancel"])

    @variants("value", ["wait=0", "wait=61", "wait=-1", "wait=x", "wait=", "wait=1.5"])
    def test_other_wait_times_are_rejected(self, http: httpx.Client, value: str) -> None:
        body = {"input": {"text": "x"}}
        path = "/models/dashscope/hello-world/predictions"
        response = http.post(path, json=body, headers={"Prefer": value})
        assert response.status_code == 400
        assert "1 to 60 seconds" in response.json()["detail"]

    @variants("value", ["respond-async", "return=minimal"])
    def test_other_preferences_are_ignored(self, http: httpx.Client, value: str) -> None:
        body = {"input": {"text": "x"}}
        path = "/models/dashscope/hello-world/predictions"
        response = http.post(path, json=body, headers={"Prefer": value})
        assert response.status_code == 201
        assert response.json()["status"] == "starting"


class TestCancel:
    def test_a_running_prediction_is_canceled_at_once(
        self, http: httpx.Client, create: Run
    ) -> None:
        prediction = create("test/sleep")
        wait_for_status(http, prediction, "processing")
        response = http.post(prediction["urls"]["cancel"])
        assert response.status_code == 200
        assert response.json()["status"] == "canceled"
        assert response.json()["completed_at"]

    def test_a_queued_prediction_is_canceled_without_running(
        self, http: httpx.Client, create: Run
    ) -> None:
        running = [create("test/pid", seconds=60) for _ in range(4)]
        for prediction in running:
            wait_for_status(http, prediction, "processing")
        queued = create("test/pid")
        assert http.post(queued["urls"]["cancel"]).json()["status"] == "canceled"
        assert "started_at" not in http.get(queued["urls"]["get"]).json()
        for prediction in running:
            http.post(prediction["urls"]["cancel"])

    def test_canceling_a_finished_prediction_changes_nothing(
        self, http: httpx.Client, run: Run
    ) -> None:
        prediction = run("dashscope/hello-world", text="x")
        response = http.post(prediction["urls"]["cancel"])
        assert response.status_code == 200
        assert response.json() == prediction

    def test_the_model_runs_after_a_cancel(self, http: httpx.Client, create: Run, run: Run) -> None:
        prediction = create("test/sleep")
        wait_for_status(http, prediction, "processing")
        http.post(prediction["urls"]["cancel"])
        assert run("test/sleep", seconds=0)["output"] == "slept"

    def test_a_cancel_ignores_body_and_content_type(self, http: httpx.Client, create: Run) -> None:
        prediction = create("test/sleep")
        response = http.post(
            prediction["urls"]["cancel"], headers={"Content-Type": "application/json"}
        )
        assert response.json()["status"] == "canceled"

    @variants(
        ("text", "seconds"),
        [("5", 5), ("30s", 30), ("5m", 300), ("2h", 7200), ("2h30m", 9000), ("1h30m45s", 5445)],
    )
    def test_cancel_after_is_a_deadline(
        self, http: httpx.Client, create: Run, text: str, seconds: int
    ) -> None:
        prediction = create("test/sleep", headers={"Cancel-After": text})
        created, deadline = (
            datetime.fromisoformat(prediction[name]) for name in ("created_at", "deadline")
        )
        assert abs((deadline - created).total_seconds() - seconds) < 0.5
        http.post(prediction["urls"]["cancel"])

    @variants("text", ["4", "0", "4s", "", "x", "-5", "5d", "1m1h", "5.5", "9" * 30])
    def test_other_durations_are_rejected(self, http: httpx.Client, text: str) -> None:
        body = {"input": {"text": "x"}}
        path = "/models/dashscope/hello-world/predictions"
        response = http.post(path, json=body, headers={"Cancel-After": text})
        assert response.status_code == 400
        assert "Cancel-After" in response.json()["detail"]

    def test_the_deadline_cancels_running_and_aborts_queued_predictions(
        self, http: httpx.Client, create: Run, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(requests, "MIN_DEADLINE", timedelta(0))
        run("test/pid")  # Its worker starts the next prediction without a delay.
        running = create("test/pid", seconds=60, headers={"Cancel-After": "2s"})
        assert wait_for_status(http, running, "canceled", "aborted")["status"] == "canceled"
        others = [create("test/pid", seconds=60) for _ in range(4)]
        queued = create("test/pid", headers={"Cancel-After": "0s"})
        assert wait_for_status(http, queued, "canceled", "aborted")["status"] == "aborted"
        for prediction in others:
            http.post(prediction["urls"]["cancel"])


class TestList:
    def test_lists_newest_first_in_pages_of_100(self, http: httpx.Client, create: Run) -> None:
        created = [create("test/echo", value=number)["id"] for number in range(105)]
        first = http.get("/predictions").json()
        assert [item["id"] for item in first["results"]] == created[:4:-1]
        assert first["previous"] is None
        assert first["next"].startswith(str(http.base_url))
        second = http.get(first["next"]).json()
        assert [item["id"] for item in second["results"][:5]] == created[4::-1]
        back = http.get(second["previous"]).json()
        assert [item["id"] for item in back["results"]] == created[:4:-1]

    def test_a_new_prediction_does_not_shift_pages(self, http: httpx.Client, create: Run) -> None:
        page = http.get("/predictions").json()
        seen = [item["id"] for item in page["results"]]
        while page["next"]:
            create("test/echo")
            page = http.get(page["next"]).json()
            seen += [item["id"] for item in page["results"]]
        assert len(seen) == len(set(seen))
        assert page["next"] is None

    def test_filters(self, http: httpx.Client, create: Run) -> None:
        first, second = create("test/echo"), create("test/echo")
        after = http.get("/predictions", params={"created_after": second["created_at"]}).json()
        assert [item["id"] for item in after["results"]] == [second["id"]]
        before = http.get("/predictions", params={"created_before": second["created_at"]}).json()
        assert before["results"][0]["id"] == first["id"]
        if before["next"]:
            assert "created_before=" in before["next"]
        web = http.get("/predictions", params={"source": "web"}).json()["results"]
        assert {item["source"] for item in web} <= {"web"}
        tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        assert http.get("/predictions", params={"created_after": tomorrow}).json() == {
            "next": None,
            "previous": None,
            "results": [],
        }

    @variants(
        "query",
        [
            "cursor=x",
            "cursor=",
            "cursor=%00",
            "cursor=W10",
            "source=api",
            "created_after=soon",
            "created_after=0001-01-01T00:00:00%2B23:59",
            "created_before=",
            "cursor=MTIz",
        ],
    )
    def test_bad_parameters_are_refused(self, http: httpx.Client, query: str) -> None:
        response = http.get(f"/predictions?{query}")
        assert response.status_code == 400, response.text

    def test_a_running_prediction_is_listed_with_its_status(
        self, http: httpx.Client, create: Run
    ) -> None:
        prediction = create("test/parts", count=2, delay=0.5)
        wait_until(lambda: http.get(prediction["urls"]["get"]).json()["output"] == ["0 "])
        listed = http.get("/predictions").json()["results"][0]
        assert listed["status"] == "processing"
        assert listed["output"] == ["0 "]
        assert "logs" not in listed
