"""Predictions: the ways to create one, to wait for it, to end it, and to list them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dashscope.local.http import requests
from tests.local.waiting import reach, until
from tests.stopwatch import Stopwatch
from tests.variants import variants

Run = Callable[..., dict[str, Any]]


class TestCreating:
    def test_by_version_in_three_forms(self, http: httpx.Client) -> None:
        version = http.get("/models/dashscope/hello-world").json()["latest_version"]["id"]
        for form in (version, f"dashscope/hello-world:{version}", "dashscope/hello-world"):
            answer = http.post(
                "/predictions",
                json={"version": form, "input": {"text": "Alice"}},
                headers={"Prefer": "wait"},
            )
            assert answer.status_code == 201
            prediction = answer.json()
            assert prediction["output"] == "hello Alice"
            assert prediction["version"] == version
            assert prediction["model"] == "dashscope/hello-world"

    def test_without_prefer_answers_at_once_with_starting(self, create: Run) -> None:
        prediction = create("test/sleep", seconds=0.01)
        assert prediction["status"] == "starting"
        assert prediction["output"] is None
        assert prediction["logs"] == ""
        assert not {"started_at", "completed_at", "metrics", "deadline"} & prediction.keys()

    def test_a_finished_one_has_times_and_metrics(self, run: Run) -> None:
        prediction = run("dashscope/hello-world", text="Bob")
        assert prediction["status"] == "succeeded"
        created, started, completed = (
            datetime.fromisoformat(prediction[name])
            for name in ("created_at", "started_at", "completed_at")
        )
        assert created <= started <= completed
        metrics = prediction["metrics"]
        assert 0 <= metrics["predict_time"] <= metrics["total_time"] < 30

    def test_unknown_members_of_the_body_are_left_alone(self, http: httpx.Client) -> None:
        answer = http.post(
            "/models/dashscope/hello-world/predictions",
            json={"input": {"text": "x"}, "stream": True, "later": 1},
        )
        assert answer.status_code == 201

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
    def test_what_cannot_run_is_refused(
        self, http: httpx.Client, path: str, body: dict[str, Any], status: int
    ) -> None:
        answer = http.post(path, json=body)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status

    @pytest.mark.parametrize(
        ("inputs", "told"),
        [
            ({}, "input.text is required."),
            ({"text": 5}, "input.text: input should be a valid string."),
            ({"text": "", "count": 11}, "input.count: input should be less than or equal to 10."),
            ({"text": "", "count": "3"}, "input.count: input should be a valid integer."),
            ({"text": "", "size": "huge"}, "input.size: input should be 'small' or 'large'."),
        ],
    )
    def test_the_wrong_input_is_named(
        self, http: httpx.Client, inputs: dict[str, Any], told: str
    ) -> None:
        answer = http.post("/models/test/typed/predictions", json={"input": inputs})
        assert answer.status_code == 422
        assert told in answer.json()["detail"]


class TestWaiting:
    def test_a_held_create_answers_when_the_prediction_ends(self, http: httpx.Client) -> None:
        began = Stopwatch()
        answer = http.post(
            "/models/test/sleep/predictions",
            json={"input": {"seconds": 0.3}},
            headers={"Prefer": "wait=10"},
        )
        assert answer.status_code == 201
        assert answer.headers["preference-applied"] == "wait=10"
        assert answer.json()["output"] == "slept"
        assert began.wall >= 0.3
        assert began.ours < 5

    def test_when_the_time_is_up_it_answers_202_starting(self, http: httpx.Client) -> None:
        began = Stopwatch()
        answer = http.post(
            "/models/test/sleep/predictions",
            json={"input": {"seconds": 30}},
            headers={"Prefer": "wait=1"},
        )
        assert began.wall > 0.5
        assert began.ours < 1
        assert answer.status_code == 202
        prediction = answer.json()
        assert prediction["status"] == "starting"
        assert "started_at" not in prediction
        assert reach(http, prediction, "processing")["logs"] == "sleeping\n"
        http.post(prediction["urls"]["cancel"])

    @variants("value", ["wait=0", "wait=61", "wait=-1", "wait=x", "wait=", "wait=1.5"])
    def test_other_times_are_refused(self, http: httpx.Client, value: str) -> None:
        body = {"input": {"text": "x"}}
        path = "/models/dashscope/hello-world/predictions"
        answer = http.post(path, json=body, headers={"Prefer": value})
        assert answer.status_code == 400
        assert "1 to 60 seconds" in answer.json()["detail"]

    @pytest.mark.parametrize("value", ["respond-async", "return=minimal"])
    def test_other_preferences_are_left_alone(self, http: httpx.Client, value: str) -> None:
        body = {"input": {"text": "x"}}
        path = "/models/dashscope/hello-world/predictions"
        answer = http.post(path, json=body, headers={"Prefer": value})
        assert answer.status_code == 201
        assert answer.json()["status"] == "starting"


class TestEnding:
    def test_a_running_one_is_cancelled_at_once(self, http: httpx.Client, create: Run) -> None:
        prediction = create("test/sleep")
        reach(http, prediction, "processing")
        answer = http.post(prediction["urls"]["cancel"])
        assert answer.status_code == 200
        assert answer.json()["status"] == "canceled"
        assert answer.json()["completed_at"]

    def test_a_queued_one_is_cancelled_without_running(
        self, http: httpx.Client, create: Run
    ) -> None:
        running = [create("test/pid", seconds=60) for _ in range(4)]
        for prediction in running:
            reach(http, prediction, "processing")
        queued = create("test/pid")
        assert http.post(queued["urls"]["cancel"]).json()["status"] == "canceled"
        assert "started_at" not in http.get(queued["urls"]["get"]).json()
        for prediction in running:
            http.post(prediction["urls"]["cancel"])

    def test_cancelling_a_finished_one_changes_nothing(self, http: httpx.Client, run: Run) -> None:
        prediction = run("dashscope/hello-world", text="x")
        answer = http.post(prediction["urls"]["cancel"])
        assert answer.status_code == 200
        assert answer.json() == prediction

    def test_the_model_runs_again_after_a_cancel(
        self, http: httpx.Client, create: Run, run: Run
    ) -> None:
        prediction = create("test/sleep")
        reach(http, prediction, "processing")
        http.post(prediction["urls"]["cancel"])
        assert run("test/sleep", seconds=0)["output"] == "slept"

    def test_a_body_and_a_content_type_do_not_matter(self, http: httpx.Client, create: Run) -> None:
        prediction = create("test/sleep")
        answer = http.post(
            prediction["urls"]["cancel"], headers={"Content-Type": "application/json"}
        )
        assert answer.json()["status"] == "canceled"

    @pytest.mark.parametrize(
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
    def test_other_durations_are_refused(self, http: httpx.Client, text: str) -> None:
        body = {"input": {"text": "x"}}
        path = "/models/dashscope/hello-world/predictions"
        answer = http.post(path, json=body, headers={"Cancel-After": text})
        assert answer.status_code == 400
        assert "Cancel-After" in answer.json()["detail"]

    def test_the_deadline_cancels_what_runs_and_aborts_what_waits(
        self, http: httpx.Client, create: Run, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(requests, "MIN_DEADLINE", timedelta(0))
        run("test/pid")  # and its worker can take the next one at once
        running = create("test/pid", seconds=60, headers={"Cancel-After": "2s"})
        assert reach(http, running, "canceled", "aborted")["status"] == "canceled"
        held = [create("test/pid", seconds=60) for _ in range(4)]
        waiting = create("test/pid", headers={"Cancel-After": "0s"})
        assert reach(http, waiting, "canceled", "aborted")["status"] == "aborted"
        for prediction in held:
            http.post(prediction["urls"]["cancel"])


class TestListing:
    def test_newest_first_in_pages_of_100(self, http: httpx.Client, create: Run) -> None:
        created = [create("test/echo", value=number)["id"] for number in range(120)]
        first = http.get("/predictions").json()
        assert [item["id"] for item in first["results"]] == created[:19:-1]
        assert first["previous"] is None
        assert first["next"].startswith(str(http.base_url))
        second = http.get(first["next"]).json()
        assert [item["id"] for item in second["results"][:20]] == created[19::-1]
        back = http.get(second["previous"]).json()
        assert [item["id"] for item in back["results"]] == created[:19:-1]

    def test_one_that_arrives_meanwhile_neither_repeats_nor_hides_any(
        self, http: httpx.Client, create: Run
    ) -> None:
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
        answer = http.get(f"/predictions?{query}")
        assert answer.status_code == 400, answer.text

    def test_a_running_one_shows_its_state(self, http: httpx.Client, create: Run) -> None:
        prediction = create("test/parts", count=2, delay=0.5)
        until(lambda: http.get(prediction["urls"]["get"]).json()["output"] == ["0 "])
        listed = http.get("/predictions").json()["results"][0]
        assert listed["status"] == "processing"
        assert listed["output"] == ["0 "]
        assert "logs" not in listed
