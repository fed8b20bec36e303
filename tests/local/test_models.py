"""Models: schemas from functions, listing, searching, updating and deleting."""

from collections.abc import Callable
from typing import Any

import httpx

from tests.variants import variants

Run = Callable[..., dict[str, Any]]


def schemas(http: httpx.Client, name: str) -> dict[str, Any]:
    version = http.get(f"/models/{name}").json()["latest_version"]
    return version["openapi_schema"]["components"]["schemas"]


class TestSchema:
    def test_parameters_become_the_input(self, http: httpx.Client) -> None:
        inputs = schemas(http, "test/typed")["Input"]
        assert inputs["required"] == ["text"]
        properties = inputs["properties"]
        assert list(properties) == ["text", "count", "ratio", "flag", "size", "tags", "schema"]
        assert properties["text"] == {
            "type": "string",
            "title": "Text",
            "description": "What to take, in two lines.",
            "x-order": 0,
        }
        assert properties["count"]["minimum"] == 1
        assert properties["count"]["maximum"] == 10
        assert properties["count"]["default"] == 3
        assert properties["count"]["description"] == "How many."
        assert properties["size"]["enum"] == ["small", "large"]

    def test_files_are_uris(self, http: httpx.Client) -> None:
        file = schemas(http, "test/read")["Input"]["properties"]["file"]
        assert (file["type"], file["format"]) == ("string", "uri")
        output = schemas(http, "test/image")["Output"]
        assert (output["type"], output["format"]) == ("string", "uri")

    def test_joinable_outputs_are_marked_in_the_schema(self, http: httpx.Client) -> None:
        for name in ("test/parts", "test/async-parts", "dashscope/markov"):
            output = schemas(http, name)["Output"]
            assert output["type"] == "array"
            assert output["items"]["type"] == "string"
            assert output["x-cog-array-type"] == "iterator"
            assert output["x-cog-array-display"] == "concatenate"
        numbers = schemas(http, "test/numbers")["Output"]
        assert numbers["x-cog-array-type"] == "iterator"
        assert "x-cog-array-display" not in numbers

    def test_the_docstring_describes(self, http: httpx.Client) -> None:
        assert http.get("/models/test/typed").json()["description"] == "Takes one of each."


class TestOutputs:
    @variants(
        "value", [None, True, 1, 1.5, "text", "\u0000 \u2028 ü 😀", [1, [2]], {"a": {"b": None}}]
    )
    def test_json_round_trips(self, run: Run, value: Any) -> None:
        assert run("test/echo", value=value)["output"] == value

    def test_rich_types_round_trip(self, run: Run) -> None:
        output = run("test/rich", day="2025-01-02", color="blue", point={"x": 1})["output"]
        assert output == {
            "day": "2025-01-02",
            "next": "2026-01-02",
            "color": "blue",
            "types": ["date", "Color", "Point"],
            "point": {"x": 1, "y": 0},
        }

    def test_generators_return_lists(self, run: Run) -> None:
        assert run("test/parts")["output"] == ["0 ", "1 ", "2 "]
        assert run("test/parts", count=0)["output"] == []
        assert run("test/numbers")["output"] == [0, 1, 2]

    def test_coroutines_and_asynchronous_generators_run(self, run: Run) -> None:
        assert run("test/async", text="abc")["output"] == "cba"
        assert run("test/async-parts")["output"] == ["0", "1"]

    def test_an_output_that_is_not_json_fails(self, run: Run) -> None:
        assert "an object of type object" in run("test/unwritable", what="object")["error"]
        assert "nan" in run("test/unwritable", what="nan")["error"]
        assert "/nonexistent/file" in run("test/unwritable", what="missing")["error"]
        assert run("test/unwritable", what="surrogate")["output"] == "a?b"

    def test_logs_contain_all_output(self, run: Run) -> None:
        message = run("test/logs")["logs"].splitlines()
        assert message == [
            "from print",
            "from stderr",
            "from the file descriptor",
            "from a child",
            "line 0",
        ]

    def test_a_failure_has_its_message_and_the_traceback_in_the_logs(self, run: Run) -> None:
        prediction = run("test/fails", message="no luck")
        assert prediction["status"] == "failed"
        assert prediction["error"] == "no luck"
        assert prediction["output"] is None
        assert "about to fail" in prediction["logs"]
        assert "RuntimeError: no luck" in prediction["logs"]


class TestModels:
    def test_models_can_be_sorted_in_both_directions(self, http: httpx.Client) -> None:
        for sort_by in ("model_created_at", "latest_version_created_at"):
            query = {"sort_by": sort_by}
            newest = http.get("/models", params=query).json()["results"]
            oldest = http.get("/models", params={**query, "sort_direction": "asc"}).json()
            names = [item["name"] for item in oldest["results"]]
            assert names == [item["name"] for item in newest][::-1]
            assert "private" not in names

    @variants("query", ["sort_by=name", "sort_direction=up", "cursor=1"])
    def test_invalid_parameters_are_rejected(self, http: httpx.Client, query: str) -> None:
        assert http.get(f"/models?{query}").status_code == 400

    def test_models_can_be_created_updated_and_deleted(self, http: httpx.Client) -> None:
        body = {
            "owner": "local",
            "name": "mine",
            "visibility": "private",
            "hardware": "cpu",
            "description": "My own.",
        }
        created = http.post("/models", json=body)
        assert created.status_code == 201
        assert created.json()["latest_version"] is None
        again = http.post("/models", json=body)
        assert again.status_code == 409
        assert "already exists" in again.json()["detail"]
        changed = http.patch("/models/local/mine", json={"readme": "# Mine", "description": None})
        assert changed.json()["description"] is None
        readme = http.get("/models/local/mine/readme")
        assert readme.text == "# Mine"
        assert readme.headers["content-type"].startswith("text/plain")
        unrunnable = http.post("/models/local/mine/predictions", json={"input": {}})
        assert unrunnable.status_code == 404
        assert http.delete("/models/local/mine").status_code == 204
        assert http.delete("/models/local/mine").status_code == 404

    def test_required_fields_of_a_model(self, http: httpx.Client) -> None:
        response = http.post("/models", json={"owner": "Bad Owner", "visibility": "secret"})
        assert response.status_code == 422
        for name in ("owner", "name is required", "visibility", "hardware is required"):
            assert name in response.json()["detail"]

    def test_public_models_and_models_with_versions_cannot_be_deleted(
        self, http: httpx.Client
    ) -> None:
        assert http.delete("/models/dashscope/hello-world").status_code == 403
        assert http.delete("/models/test/private").status_code == 409

    def test_versions(self, http: httpx.Client, run: Run) -> None:
        latest = http.get("/models/dashscope/hello-world").json()["latest_version"]
        listed = http.get("/models/dashscope/hello-world/versions").json()["results"]
        assert listed == [latest]
        path = f"/models/dashscope/hello-world/versions/{latest['id']}"
        assert http.get(path).json() == latest
        assert http.delete(path).status_code == 403
        assert http.get("/models/dashscope/hello-world/versions/x").status_code == 404
        assert http.get(f"/models/dashscope/markov/versions/{latest['id']}").status_code == 404

    def test_deleting_a_version_deletes_its_predictions(self, http: httpx.Client, run: Run) -> None:
        prediction = run("test/forgotten", text="x")
        path = f"/models/test/forgotten/versions/{prediction['version']}"
        response = http.delete(path)
        assert (response.status_code, response.content) == (202, b"")
        assert http.get(path).status_code == 404
        assert http.get(prediction["urls"]["get"]).status_code == 404
        assert http.get("/models/test/forgotten").json()["latest_version"] is None

    def test_examples(self, http: httpx.Client) -> None:
        page = http.get("/models/dashscope/hello-world/examples").json()
        assert [item["output"] for item in page["results"]] == ["hello Alice"]
        model = http.get("/models/dashscope/hello-world").json()
        assert model["default_example"]["input"] == {"text": "Alice"}

    def test_runs_are_counted(self, http: httpx.Client, run: Run) -> None:
        before = http.get("/models/test/echo").json()["run_count"]
        run("test/echo")
        assert http.get("/models/test/echo").json()["run_count"] == before + 1


class TestFinding:
    @variants(
        ("content_type", "body"),
        [("text/plain", b"hello"), ("text/plain", b'"hello"'), ("application/json", b'"hello"')],
    )
    def test_query_accepts_three_forms(
        self, http: httpx.Client, content_type: str, body: bytes
    ) -> None:
        response = http.request(
            "QUERY", "/models", content=body, headers={"Content-Type": content_type}
        )
        assert response.status_code == 200
        assert response.json()["results"][0]["name"] == "hello-world"

    @variants(
        ("content_type", "body"),
        [
            ("text/plain", b""),
            ("text/plain", b"\xff"),
            ("application/json", b"hello"),
            ("application/json", b"{}"),
        ],
    )
    def test_other_queries_are_rejected(
        self, http: httpx.Client, content_type: str, body: bytes
    ) -> None:
        response = http.request(
            "QUERY", "/models", content=body, headers={"Content-Type": content_type}
        )
        assert response.status_code == 400

    def test_search(self, http: httpx.Client) -> None:
        found = http.get("/search", params={"query": "thumbnail images"}).json()
        assert found["models"][0]["model"]["name"] == "thumbnail"
        assert [item["slug"] for item in found["collections"]] == ["images"]
        assert len(http.get("/search?query=a&limit=1").json()["models"]) == 1

    @variants("query", ["", "query=", "query=x&limit=0", "query=x&limit=51", "query=x&limit=a"])
    def test_invalid_searches_are_rejected(self, http: httpx.Client, query: str) -> None:
        assert http.get(f"/search?{query}").status_code == 400

    def test_collections(self, http: httpx.Client) -> None:
        listed = http.get("/collections").json()["results"]
        assert {"shipped", "text", "images"} <= {item["slug"] for item in listed}
        collection = http.get("/collections/streaming").json()
        assert {model["name"] for model in collection["models"]} == {"countdown", "markov"}
        assert http.get("/collections/nope").status_code == 404


class TestAccount:
    def test_account(self, http: httpx.Client) -> None:
        assert http.get("/account").json()["username"] == "local"
        assert http.get("/hardware").json()[0]["sku"] == "cpu"
        secret = http.get("/webhooks/default/secret").json()["key"]
        assert secret.startswith("whsec_")
        assert http.get("/webhooks/default/secret").json()["key"] == secret
