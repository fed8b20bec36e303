"""Forms: fields from the schema, inputs from the fields, and errors next to the fields."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from dashscope.local.pages.fields import read_fields
from tests.local.page.conftest import Parsed
from tests.servers.webhook_receiver import Receiver
from tests.variants import variants
from tests.waiting import wait_for_status, wait_until

Send = Callable[..., Any]


def field(schema: dict[str, Any], *, required: bool = False, **definitions: Any) -> Any:
    inputs = {"properties": {"it": schema}, "required": ["it"] if required else []}
    (made,) = read_fields({"components": {"schemas": {"Input": inputs, **definitions}}}, "Input")
    return made


NULL = {"type": "null"}
URI = {"type": "string", "format": "uri"}


class TestFields:
    @variants(
        ("schema", "kind", "nullable"),
        [
            ({"type": "string"}, "text", False),
            ({"type": "integer"}, "integer", False),
            ({"type": "number"}, "number", False),
            ({"type": "boolean"}, "flag", False),
            ({"enum": ["a", "b"], "type": "string"}, "choice", False),
            ({"const": 1}, "choice", False),
            (URI, "file", False),
            ({"type": "array", "items": URI}, "files", False),
            ({"type": "array", "items": {"type": "integer"}}, "list", False),
            ({"type": "array", "items": {"type": "object"}}, "json", False),
            ({"type": "object"}, "json", False),
            ({}, "json", False),
            ({"type": "string", "format": "date"}, "date", False),
            ({"type": "string", "writeOnly": True, "format": "password"}, "secret", False),
            ({"anyOf": [{"type": "integer"}, NULL]}, "integer", True),
            ({"anyOf": [{"type": "boolean"}, NULL]}, "choice", True),
            ({"anyOf": [URI, NULL]}, "file", True),
            ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "json", False),
            ({"$ref": "#/components/schemas/Color"}, "choice", False),
            ({"allOf": [{"$ref": "#/components/schemas/Color"}]}, "choice", False),
            ({"anyOf": [{"$ref": "#/components/schemas/Color"}, NULL]}, "choice", True),
        ],
    )
    def test_fields_match_the_type_of_the_input(
        self, schema: dict[str, Any], kind: str, nullable: bool
    ) -> None:
        made = field(schema, Color={"type": "string", "enum": ["red", "blue"]})
        assert (made.kind, made.nullable) == (kind, nullable)

    def test_a_required_boolean_offers_yes_and_no(self) -> None:
        assert field({"type": "boolean"}, required=True).choices == (True, False)

    def test_fields_show_their_bounds(self) -> None:
        made = field({"type": "integer", "exclusiveMinimum": 0, "maximum": 9})
        assert (made.minimum, made.maximum) == (1, 9)
        assert made.hint == "A whole number, more than 0, at most 9."
        assert field({"type": "number", "exclusiveMinimum": 0}).minimum is None


@pytest.fixture
def send(web: httpx.Client, http: httpx.Client) -> Send:
    """Submit a form. Return the finished prediction, or the form with errors."""

    def send(name: str, files: Any = None, **values: str) -> Any:
        data = {f"input:{key}": value for key, value in values.items()}
        response = web.post(f"/web/models/{name}", data=data, files=files)
        if response.status_code != 303:
            assert response.status_code == 422, response.text
            return Parsed(response)
        shown, run = response.headers["location"].split("?run=")
        assert shown == f"/web/models/{name}"
        return wait_for_status(
            http, {"urls": {"get": f"/predictions/{run}"}}, "succeeded", "failed"
        )

    return send


class TestForm:
    def test_each_input_has_a_labeled_field(self, web: httpx.Client) -> None:
        parsed = Parsed(web.get("/web/models/test/typed"))
        named = {f["id"] for f in parsed.all("input", "textarea", "select") if f.get("id")}
        labeled = {label["for"] for label in parsed.all("label") if "for" in label}
        assert named == labeled
        assert {f"input-{name}" for name in ("text", "count", "flag", "tags")} <= named
        # Short choices are radio buttons in a fieldset with a legend.
        assert parsed.by_id("input-size")["data-kind"] == "choice"
        sizes = [f["value"] for f in parsed.all("input") if f.get("name") == "input:size"]
        assert sizes == ['"small"', '"large"']
        count = parsed.by_id("input-count")
        assert (count["type"], count["min"], count["max"], count["value"]) == (
            "number", "1", "10", "3",
        )  # fmt: skip
        assert "required" in parsed.by_id("input-text")
        assert "required" not in parsed.by_id("input-count")
        assert "How many. A whole number, at least 1, at most 10." in parsed.text

    def test_submitting_runs_the_model(self, send: Send) -> None:
        prediction = send(
            "test/typed", text="a\r\nb", count="4", ratio="0.25", flag="true", size='"large"',
            tags='["x", "y"]',
        )  # fmt: skip
        assert prediction["source"] == "web"
        assert prediction["output"] == {
            "text": "a\nb", "count": 4, "ratio": 0.25, "flag": True, "size": "large",
            "tags": ["x", "y"],
        }  # fmt: skip

    def test_empty_fields_use_the_defaults(self, send: Send) -> None:
        prediction = send("test/typed", text="t", count="", ratio=" ", size="", tags="")
        assert prediction["output"] == {
            "text": "t", "count": 3, "ratio": 0.5, "flag": False, "size": "small", "tags": None,
        }  # fmt: skip

    def test_a_cleared_text_is_an_empty_text(self, send: Send) -> None:
        assert send("test/typed", text="t", schema="")["input"]["schema"] == ""

    def test_accepts_dates_enums_and_objects(self, send: Send) -> None:
        prediction = send("test/rich", day="2024-02-28", color='"blue"', point='{"x": 1}')
        assert prediction["output"]["color"] == "blue"
        assert prediction["output"]["point"] == {"x": 1, "y": 0}

    @variants("value", [1, 1.5, None, "x", [1, {"a": None}], {"ü": "\\"}])
    def test_accepts_any_json(self, send: Send, value: Any) -> None:
        assert send("test/echo", value=json.dumps(value))["output"] == value

    def test_accepts_a_long_text(self, send: Send) -> None:
        text = "long " * 500_000
        assert send("dashscope/hello-world", text=text)["output"] == f"hello {text}"

    def test_accepts_file_uploads(self, send: Send) -> None:
        files = [
            ("upload:file", ("one.txt", b"first", "text/plain")),
            ("upload:others", ("two.txt", b"second", "text/plain")),
            ("upload:others", ("three.txt", b"third", "text/plain")),
        ]
        prediction = send("test/read", files=files)
        assert prediction["output"] == {
            "text": "first", "suffix": ".txt", "others": ["second", "third"],
        }  # fmt: skip

    def test_accepts_file_urls(self, send: Send) -> None:
        prediction = send("test/read", file=" data:text/plain,one ", others="data:text/plain,two\n")
        assert prediction["output"]["text"] == "one"
        assert prediction["output"]["others"] == ["two"]

    def test_an_error_keeps_uploaded_files(self, web: httpx.Client, root: str) -> None:
        response = web.post(
            "/web/models/dashscope/thumbnail",
            data={"input:width": "0"},
            files={"upload:image": ("x.png", b"png", "image/png")},
        )
        assert response.status_code == 422
        assert Parsed(response).by_id("input-image")["value"].startswith(f"{root}/v1/files/")

    @variants(
        ("values", "wrong", "message"),
        [
            ({"text": "x", "count": "11"}, "count", "Must be at most 10."),
            ({"text": "x", "count": "many"}, "count", "Enter a whole number"),
            ({"text": "x", "count": "9" * 5000}, "count", "Enter a whole number"),
            ({"text": "x", "count": "1.5"}, "count", "Enter a whole number"),
            ({"text": "x", "ratio": "half"}, "ratio", "Enter a number"),
            ({"text": "x", "ratio": "1e999"}, "ratio", "Enter a finite number"),
            ({"text": "x", "ratio": "nan"}, "ratio", "Enter a finite number"),
            ({"text": "x", "size": '"huge"'}, "size", "Must be 'small' or 'large'."),
            ({"text": "x", "tags": "a, b"}, "tags", "Enter valid JSON"),
            ({"text": "x", "tags": "[1]"}, "tags", "0: must be text."),
            ({"text": "x", "tags": "[" * 100_000}, "tags", "Enter valid JSON"),
            ({"text": ""}, "text", "Required."),
            ({}, "text", "Required."),
        ],
    )
    def test_errors_are_shown_next_to_the_field(
        self, send: Send, values: dict[str, str], wrong: str, message: str
    ) -> None:
        parsed = send("test/typed", **values)
        assert parsed.by_id(f"input-{wrong}")["aria-invalid"] == "true"
        described = parsed.by_id(f"input-{wrong}")["aria-describedby"].split()
        assert f"input-{wrong}-problem" in described
        assert parsed.by_id(f"input-{wrong}-problem")
        assert message in parsed.text
        assert parsed.by_id("problems")["role"] == "alert"
        assert f"#input-{wrong}" in [link["href"] for link in parsed.all("a")]

    def test_general_errors_are_shown_above_the_form(self, send: Send, root: str) -> None:
        parsed = send("test/read", file=f"{root}/v1/files/{'a' * 26}")
        assert "does not exist" in parsed.text
        assert not [f for f in parsed.all("input", "textarea") if "aria-invalid" in f]

    def test_the_form_is_filled_from_an_earlier_run(self, web: httpx.Client, send: Send) -> None:
        prediction = send("test/typed", text="<again>", count="7", flag="true", size='"large"')
        parsed = Parsed(web.get(f"/web/models/test/typed?from={prediction['id']}"))
        assert "<again>" in parsed.text
        assert parsed.by_id("input-count")["value"] == "7"
        assert "checked" in parsed.by_id("input-flag")
        radios = [f for f in parsed.all("input") if f.get("name") == "input:size"]
        assert [f["value"] for f in radios if "checked" in f] == ['"large"']

    def test_the_form_is_filled_with_the_example_of_a_model(self, web: httpx.Client) -> None:
        assert "Alice" in Parsed(web.get("/web/models/dashscope/hello-world")).text

    def test_the_form_can_set_a_webhook(self, web: httpx.Client, receiver: Receiver) -> None:
        data = {"input:text": "x", "webhook": receiver.url}
        shown = web.post("/web/models/dashscope/hello-world", data=data).headers["location"]
        page = f"/web/predictions/{shown.partition('?run=')[2]}"
        wait_until(lambda: f"completed to {receiver.url}" in Parsed(web.get(page)).text)
        data["webhook"] = "ftp://x"
        refused = web.post("/web/models/dashscope/hello-world", data=data)
        assert refused.status_code == 422
        assert "is not an http(s) URL" in Parsed(refused).text

    @variants("destination", ["", "nope", "A/B", "a/b/c"])
    def test_a_training_form_requires_a_destination(
        self, web: httpx.Client, destination: str
    ) -> None:
        refused = web.post("/web/models/test/trainable/train", data={"destination": destination})
        assert refused.status_code == 422
        assert "must be owner/name" in Parsed(refused).text

    def test_a_model_without_a_version_has_no_form(
        self, web: httpx.Client, http: httpx.Client
    ) -> None:
        values = {
            "owner": "local",
            "name": "page-empty",
            "visibility": "private",
            "hardware": "cpu",
        }
        assert http.post("/models", json=values).status_code == 201
        assert "no version yet" in web.get("/web/models/local/page-empty").text
        assert web.post("/web/models/local/page-empty", data={}).status_code == 404
