"""The responses of every operation match the server's OpenAPI document."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest

from dashscope.local import LocalServer
from dashscope.local.http.openapi import PATHS, document
from tests.local.conftest import MODELS
from tests.waiting import wait_for_status

DOCUMENT = document("http://127.0.0.1/v1")
FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER
OPERATIONS = {
    described["operationId"]: (method, path)
    for path, operations in PATHS.items()
    for method, described in operations.items()
}


def check(operation: str, response: httpx.Response) -> Any:
    """Check a response against the schema of its status."""
    method, path = OPERATIONS[operation]
    responses = DOCUMENT["paths"][path][method]["responses"]
    described = responses.get(str(response.status_code), responses["default"])
    media_type = response.headers.get("content-type", "").partition(";")[0]
    content = described.get("content")
    if content is None:
        assert response.content == b""
        return None
    if "application/octet-stream" in content:
        return response.content
    assert media_type in content, (response.status_code, media_type, response.text)
    if "json" not in media_type:
        return response.text
    schema = {**content[media_type]["schema"], "components": DOCUMENT["components"]}
    jsonschema.validate(response.json(), schema, format_checker=FORMATS)
    return response.json()


class Caller:
    """Calls operations by name and checks each response."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.called: set[str] = set()

    def __call__(self, name: str, status: int, *parts: str, **options: Any) -> Any:
        method, path = OPERATIONS[name]
        for part in parts:
            start, _, rest = path.partition("{")
            path = start + part + rest.partition("}")[2]
        response = self.http.request(method.removeprefix("x-"), path, **options)
        assert response.status_code == status, response.text
        self.called.add(name)
        return check(name, response)


@pytest.fixture
def call() -> Iterator[Caller]:
    with LocalServer(models=MODELS) as server, httpx.Client(base_url=server.base_url) as http:
        yield Caller(http)


WAIT = {"Prefer": "wait"}


def test_responses_of_all_operations_match_the_schema(call: Caller) -> None:
    call("account.get", 200)
    call("hardware.list", 200)
    call("webhooks.default.secret.get", 200)
    collections = call("collections.list", 200)["results"]
    call("collections.get", 200, collections[0]["slug"])
    call("search", 200, params={"query": "text"})

    call("models.list", 200)
    mine = {"owner": "local", "name": "mine", "visibility": "private", "hardware": "cpu"}
    call("models.create", 201, json=mine)
    call("models.search", 200, content="hello")
    hello = call("models.get", 200, "dashscope", "hello-world")
    version = hello["latest_version"]["id"]
    call("models.update", 200, "local", "mine", json={"description": "x", "readme": "# x"})
    call("models.readme.get", 200, "local", "mine")
    call("models.examples.list", 200, "dashscope", "hello-world")
    call("models.versions.list", 200, "dashscope", "hello-world")
    call("models.versions.get", 200, "dashscope", "hello-world", version)

    alice = {"input": {"text": "Alice"}}
    by_version = {"version": version, **alice}
    call("predictions.create", 201, json=by_version)
    ended = call("predictions.create", 201, json=by_version, headers=WAIT)
    slow = {"version": "test/parts", "input": {"count": 2, "delay": 30}}
    held = {"Prefer": "wait=1", "Cancel-After": "1h"}
    running = call("predictions.create", 202, json=slow, headers=held)
    call("predictions.get", 200, running["id"])
    call("predictions.get", 200, ended["id"])
    call("predictions.list", 200)
    call("predictions.cancel", 200, running["id"])
    call("models.predictions.create", 201, "dashscope", "hello-world", json=alice, headers=WAIT)
    call("models.predictions.create", 201, "test", "fails", json={"input": {}}, headers=WAIT)

    file = call("files.create", 201, files={"content": ("a.txt", b"one two three four")})
    call("files.get", 200, file["id"])
    call("files.list", 200)
    query = dict(httpx.URL(file["urls"]["download"]).params)
    assert call("files.download", 200, file["id"], params=query) == b"one two three four"

    markov = call("models.get", 200, "dashscope", "markov")["latest_version"]["id"]
    wanted = {"destination": "local/mine", "input": {"text": file["urls"]["get"]}}
    training = call("trainings.create", 201, "dashscope", "markov", markov, json=wanted)
    wait_for_status(call.http, training, "succeeded")
    trained = call("trainings.get", 200, training["id"])["output"]["version"]
    call("trainings.list", 200)
    call("trainings.cancel", 200, training["id"])

    deployment = {
        "name": "d", "model": "local/mine", "version": trained.partition(":")[2],
        "hardware": "cpu", "min_instances": 0, "max_instances": 1,
    }  # fmt: skip
    call("deployments.create", 200, json=deployment)
    call("deployments.get", 200, "local", "d")
    call("deployments.list", 200)
    call("deployments.update", 200, "local", "d", json={"max_instances": 2})
    prompt = {"input": {"prompt": "one"}}
    made = call("deployments.predictions.create", 201, "local", "d", json=prompt, headers=WAIT)
    assert made["deployment"] == "d"
    call("deployments.delete", 204, "local", "d")

    call("files.delete", 204, file["id"])
    call("models.versions.delete", 202, "local", "mine", trained.partition(":")[2])
    call("models.delete", 204, "local", "mine")
    assert call.called == set(OPERATIONS)
    assert len(call.called) == 37


def test_problems_match_the_schema(call: Caller) -> None:
    call("predictions.get", 404, "x")
    call("predictions.create", 400, content=b"{")
    call("predictions.create", 422, json={})
    call("models.create", 422, json={})
    call("search", 400)
    call("files.create", 400)


class TestDeployments:
    def test_releases_are_numbered_and_predictions_record_them(self, call: Caller) -> None:
        version = call("models.get", 200, "test", "echo")["latest_version"]["id"]
        body = {
            "name": "d", "model": "test/echo", "version": version, "hardware": "cpu",
            "min_instances": 0, "max_instances": 1,
        }  # fmt: skip
        made = call("deployments.create", 200, json=body)
        assert made["current_release"]["number"] == 1
        call("deployments.create", 409, json=body)
        changed = call("deployments.update", 200, "local", "d", json={"min_instances": 1})
        assert changed["current_release"]["number"] == 2
        assert changed["current_release"]["configuration"]["min_instances"] == 1
        assert changed["current_release"]["configuration"]["max_instances"] == 1
        same = call("deployments.update", 200, "local", "d", json={})
        assert same["current_release"]["number"] == 2
        call("deployments.update", 422, "local", "d", json={"min_instances": 2})
        call("deployments.update", 404, "local", "d", json={"version": "0" * 64})
        call("deployments.get", 404, "other", "d")
        call("deployments.delete", 204, "local", "d")
        call("deployments.delete", 404, "local", "d")

    def test_a_deployed_version_cannot_be_deleted(self, call: Caller) -> None:
        version = call("models.get", 200, "test", "private")["latest_version"]["id"]
        body = {
            "name": "d", "model": "test/private", "version": version, "hardware": "cpu",
            "min_instances": 0, "max_instances": 1,
        }  # fmt: skip
        call("deployments.create", 200, json=body)
        call("models.versions.delete", 409, "test", "private", version)
        call("deployments.delete", 204, "local", "d")
        call("models.versions.delete", 202, "test", "private", version)


class TestTrainings:
    def train(self, call: Caller, text: str, **inputs: Any) -> dict[str, Any]:
        version = call("models.get", 200, "test", "trainable")["latest_version"]["id"]
        body = {
            "destination": "local/mine",
            "input": {"text": f"data:text/plain,{text}", **inputs},
        }
        return call("trainings.create", 201, "test", "trainable", version, json=body)

    @pytest.fixture(autouse=True)
    def destination(self, call: Caller) -> None:
        mine = {"owner": "local", "name": "mine", "visibility": "private", "hardware": "cpu"}
        call("models.create", 201, json=mine)

    def test_a_training_creates_a_version_with_its_weights(self, call: Caller) -> None:
        outputs = []
        for text in ("abc", "xyz"):
            training = wait_for_status(call.http, self.train(call, text, times=2), "succeeded")
            assert training["logs"] == "training\n"
            version = training["output"]["version"]
            body = {"version": version, "input": {"prompt": "-"}}
            ended = call("predictions.create", 201, json=body, headers=WAIT)
            assert ended["model"] == "local/mine"
            outputs.append(ended["output"])
            latest = call("models.get", 200, "local", "mine")["latest_version"]["id"]
            assert version == f"local/mine:{latest}"
        assert outputs == ["-abcabc", "-xyzxyz"]
        base = call("models.get", 200, "test", "trainable")["latest_version"]["id"]
        assert base != latest

    def test_markov_imitates_its_text(self, call: Caller) -> None:
        version = call("models.get", 200, "dashscope", "markov")["latest_version"]["id"]
        text = "the cat sat on the mat and the cat ran to the dog and the dog sat on the cat"
        file = call("files.create", 201, files={"content": ("t.txt", text.encode())})
        body = {"destination": "local/mine", "input": {"text": file["urls"]["get"]}}
        training = call("trainings.create", 201, "dashscope", "markov", version, json=body)
        trained = wait_for_status(call.http, training, "succeeded")["output"]["version"]
        body = {"version": trained, "input": {"prompt": "the cat", "length": 40}}
        ended = call("predictions.create", 201, json=body, headers=WAIT)
        assert len(ended["output"]) == 40
        assert {word.strip() for word in ended["output"]} <= set(text.split())
        assert ended["urls"]["stream"]

    def test_a_failed_training_has_an_error(self, call: Caller) -> None:
        version = call("models.get", 200, "dashscope", "markov")["latest_version"]["id"]
        body = {"destination": "local/mine", "input": {"text": "data:,short"}}
        training = call("trainings.create", 201, "dashscope", "markov", version, json=body)
        failed = wait_for_status(call.http, training, "failed")
        assert "more than 2 words" in failed["error"]
        assert "output" not in failed
        check("trainings.get", call.http.get(training["urls"]["get"]))

    def test_invalid_trainings_are_rejected(self, call: Caller) -> None:
        version = call("models.get", 200, "dashscope", "hello-world")["latest_version"]["id"]
        body: dict[str, Any] = {"destination": "local/mine", "input": {}}
        call("trainings.create", 400, "dashscope", "hello-world", version, json=body)
        version = call("models.get", 200, "dashscope", "markov")["latest_version"]["id"]
        path = ("dashscope", "markov", version)
        call("trainings.create", 422, *path, json=body)
        text = {"text": "data:,x"}
        call("trainings.create", 404, *path, json={"destination": "local/no", "input": text})
        call("trainings.create", 422, *path, json={"destination": "nope", "input": text})
        call("trainings.create", 422, *path, json={"input": text})
        call("trainings.create", 404, "dashscope", "markov", "0" * 64, json=body)

    def test_a_base_version_cannot_be_deleted(self, call: Caller) -> None:
        wait_for_status(call.http, self.train(call, "abc"), "succeeded")
        trained = call("models.get", 200, "local", "mine")["latest_version"]["id"]
        body = {"destination": "local/mine", "input": {"text": "data:,x"}}
        training = call("trainings.create", 201, "local", "mine", trained, json=body)
        wait_for_status(call.http, training, "succeeded")
        call("models.versions.delete", 409, "local", "mine", trained)

    def test_a_training_can_be_canceled(self, call: Caller) -> None:
        training = self.train(call, "abc")
        canceled = call("trainings.cancel", 200, training["id"])
        assert canceled["status"] == "canceled"


def test_the_openapi_document_is_served(call: Caller) -> None:
    base = str(call.http.base_url)
    assert call.http.get(base.replace("/v1/", "/openapi.json")).json()["servers"] == [
        {"url": base.rstrip("/")}
    ]


@pytest.mark.soak
def test_a_trivial_prediction_is_fast(call: Caller) -> None:
    """At the median, a create takes less than 5 ms and a blocking create less than 20 ms."""
    for headers, limit in (({}, 0.005), (WAIT, 0.020)):
        took = []
        for _ in range(300):
            started = time.perf_counter()
            path = ("dashscope", "hello-world")
            body = {"input": {"text": "x"}}
            call("models.predictions.create", 201, *path, json=body, headers=headers)
            took.append(time.perf_counter() - started)
        assert sorted(took)[150] < limit, sorted(took)[150]
