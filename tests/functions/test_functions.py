"""`client.use()`: a model as a function that checks its inputs before a request."""

from __future__ import annotations

import asyncio
import copy
import functools
import inspect
import pickle
import pydoc
import threading
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from PIL import Image

import dashscope
from dashscope import AsyncClient, AsyncFileOutput, Client, FileOutput, NotFoundError
from dashscope.local import LocalServer
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply
from tests.variants import variants


def request_lines(server: LocalServer, since: int = 0) -> list[str]:
    return [f"{request.method} {request.path}" for request in server.requests[since:]]


def document(**inputs: Any) -> dict[str, Any]:
    described = {"properties": inputs, "required": list(inputs)}
    return {"components": {"schemas": {"Input": described}}}


class Models:
    """A server with one model, which counts requests for the schema and finishes at once."""

    def __init__(self, fake_server: FakeServer, *documents: Any) -> None:
        self.documents = list(documents)
        self.fake_server = fake_server
        self.fails: Reply | None = None
        self.after = 0.0
        fake_server.respond_with(self.answer)

    @property
    def fetches(self) -> int:
        return sum(line.startswith("GET /v1/models") for line in self.fake_server.request_lines)

    def answer(self, request: Received) -> Reply:
        if request.method == "POST":
            return reply(prediction("succeeded", output=request.json["input"]), 201)
        if self.fails is not None:
            return self.fails
        schema = self.documents.pop(0) if len(self.documents) > 1 else self.documents[0]
        version = {"id": "v1", "openapi_schema": schema}
        if "/versions/" in request.path:
            return reply(version)
        found = reply({"owner": "owner", "name": "name", "latest_version": version})
        return Reply(found.status, found.headers, found.body, delay=self.after)


async def test_a_model_is_called_like_a_function(client: Any) -> None:
    hello = client.use("dashscope/hello-world")
    assert await hello(text="Alice") == "hello Alice"
    assert await hello(text="Bob") == "hello Bob"


async def test_a_version_is_called_like_a_function(client: Any) -> None:
    model = await client.models.get("dashscope", "hello-world")
    hello = client.use(f"dashscope/hello-world:{model.latest_version.id}")
    assert await hello(text="Alice") == "hello Alice"
    assert list(inspect.signature(getattr(hello, "_value", hello)).parameters) == ["text"]


async def test_a_model_streams(client: Any) -> None:
    async with client.use("dashscope/countdown").stream(start=2) as stream:
        text = ""
        while not text:  # a model may have both a log and an output with any number of events
            text = str(await anext(stream))
        assert (await stream.result()).output == ["2\n", "1\n", "0\n"]
    assert text == "2\n"


async def test_a_stream_checks_its_inputs_on_entry(client: Any, server: LocalServer) -> None:
    before = len(server.requests)
    stream = client.use("dashscope/countdown").stream(strat=2)
    with pytest.raises(TypeError, match="Did you mean 'start'"):
        async with stream:
            pass
    assert not any(line.startswith("POST") for line in request_lines(server, before))


async def test_a_model_creates_predictions(client: Any) -> None:
    created = await client.use("dashscope/hello-world").create(text="Alice")
    assert (await client.wait(created)).output == "hello Alice"


async def test_map_returns_an_error_row_for_an_invalid_input(
    client: Any, server: LocalServer
) -> None:
    rows: list[Any] = [{"text": "Alice"}, {"txet": "Bob"}, {"text": 3}, 4, {"text": "Eve"}]
    results: dict[int, Any] = {}
    async with client.use("dashscope/hello-world").map(rows) as batch:
        for _ in rows:
            result = await anext(batch)
            results[result.index] = result.output if result.ok else str(result.error)
    assert results[0] == "hello Alice"
    assert results[4] == "hello Eve"
    assert "Did you mean 'text'" in results[1]
    assert "a string, not 3" in results[2]
    assert "mapping" in results[3]


async def test_a_batch_checks_the_names_of_its_inputs_with_one_request(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    models = Models(fake_server, document(text={"type": "string"}))
    rows = [{"text": "a"}, {"txet": "b"}, {"text": 3}, {"text": "c", "extra": 1}]

    async def outcome() -> dict[int, Any]:
        async with scripted_client.map("owner/name", rows) as batch:
            found = [await anext(batch) for _ in rows]
        return {item.index: item.output if item.ok else str(item.error) for item in found}

    results = await outcome()
    assert results[0] == {"text": "a"}
    assert "owner/name has no input 'txet'. Did you mean 'text'?" in results[1]
    assert results[2] == {"text": 3}  # only the names of inputs are checked here
    assert "no input 'extra'" in results[3]
    assert models.fetches == 1
    assert len([line for line in fake_server.request_lines if line.startswith("POST")]) == 2

    # Without a schema nothing is checked, and the next batch fetches it again.
    rows = [{"txet": "b"}] * 3
    models.fails = Reply(404, {}, b'{"detail": "private"}')
    async with scripted_client.map("owner/other", rows) as batch:
        assert [(await anext(batch)).output for _ in rows] == rows
    assert models.fetches < 5


def test_a_batch_has_no_webhook(make_client: Callable[..., Any]) -> None:
    client = make_client(base_url="http://127.0.0.1:9/v1")
    with pytest.raises(ValueError, match="not support webhooks"):
        client.use("a/b", webhook="https://example.com").map([])


async def test_a_file_output_is_sent_as_its_url(
    client: Any, server: LocalServer, tmp_path: Path, flavor: str
) -> None:
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "photo.png")
    thumbnail = client.use("dashscope/thumbnail")
    large = await thumbnail(image=tmp_path / "photo.png", width=32)
    large = getattr(large, "file", large)
    assert isinstance(large, FileOutput if flavor == "sync" else AsyncFileOutput)
    before = len(server.requests)
    created = await thumbnail.create(image=large, width=16)
    assert created.input["image"] == str(large)
    assert (await client.wait(created)).status == "succeeded"
    assert not any("/files" in line for line in request_lines(server, before))


async def test_an_invalid_argument_is_not_sent(client: Any, server: LocalServer) -> None:
    thumbnail = client.use("dashscope/thumbnail")
    await thumbnail.load()
    before = len(server.requests)
    for inputs, error, text in (
        ({}, TypeError, "requires 'image'"),
        ({"imge": "https://example.com"}, TypeError, "Did you mean 'image'"),
        ({"image": "https://example.com", "width": 0}, ValueError, "from 1 to 4096, not 0"),
        ({"image": "https://example.com", "width": "9"}, TypeError, "an integer, not '9'"),
    ):
        with pytest.raises(error, match=text):
            await thumbnail(**inputs)
        with pytest.raises(error, match=text):
            await thumbnail.create(**inputs)
    with pytest.raises(TypeError, match="at most 2 positional arguments, not 3"):
        await thumbnail("https://example.com", 9, 9)
    with pytest.raises(TypeError, match="'image' by position and by name"):
        await thumbnail("https://example.com", image="https://example.com")
    assert request_lines(server, before) == []


async def test_inputs_may_have_any_name(scripted_client: Any, fake_server: FakeServer) -> None:
    names = ["self", "args", "inputs", "timeout", "class", "a-b", "ref"]
    Models(fake_server, document(**{name: {"type": "string"} for name in names}))
    inputs = dict.fromkeys(names, "x")
    assert await scripted_client.use("owner/name")(**inputs) == inputs


async def test_positional_inputs_follow_the_signature(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    described = {
        "style": {"type": "string", "default": "plain", "x-order": 0},
        "text": {"type": "string", "x-order": 1},
        "a-b": {"type": "string", "x-order": 2},
    }
    components = {"Input": {"properties": described, "required": ["text"]}}
    models = Models(fake_server, {"components": {"schemas": components}})
    function = scripted_client.use("owner/name")
    assert await function("hi", "bold", **{"a-b": "x"}) == {
        "text": "hi",
        "style": "bold",
        "a-b": "x",
    }
    assert await function.create("hi") is not None
    face = getattr(function, "_value", function)
    assert list(inspect.signature(face).parameters) == ["text", "style", "inputs"]
    models.documents = [{}]
    with pytest.raises(TypeError, match="pass them by name"):
        await scripted_client.use("owner/other")("hi")


async def test_none_omits_an_input_that_is_not_nullable(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    described = {
        "seed": {"type": "integer"},
        "mask": {"type": "string", "format": "uri", "default": None},
        "stop": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "old": {"type": "string", "nullable": True},
        "anything": {},
    }
    Models(fake_server, {"components": {"schemas": {"Input": {"properties": described}}}})
    function = scripted_client.use("owner/name")
    given = dict.fromkeys(described)
    assert await function(**given) == {"stop": None, "old": None}
    assert (await function.create(**given)).output == {"stop": None, "old": None}
    async with function.map([given]) as batch:
        assert (await anext(batch)).output == {"stop": None, "old": None}
    face = getattr(function, "_value", function)
    assert inspect.signature(face).bind().arguments == {}
    assert inspect.signature(face).parameters["seed"].default is None
    assert typing.get_type_hints(face)["seed"] == int | None
    assert function.json_schema["properties"]["seed"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "default": None,
    }
    jsonschema.validate(given, function.json_schema)


async def test_a_model_has_the_attributes_of_a_function(client: Any, flavor: str) -> None:
    model = client.use("dashscope/thumbnail")
    face = getattr(model, "_value", model)
    assert (face.__name__, face.__qualname__) == ("thumbnail", "thumbnail")
    assert inspect.iscoroutinefunction(face) == (flavor != "sync")
    assert inspect.iscoroutinefunction(functools.partial(face)) == (flavor != "sync")
    if flavor != "sync":
        for read in (
            inspect.signature,
            typing.get_type_hints,
            lambda face: dict(face.__annotations__),
            lambda face: face.json_schema,
            lambda face: face.tool_definition(),
        ):
            with pytest.raises(RuntimeError, match=r"Call `await f.load\(\)`"):
                read(face)
        assert "call load()" in pydoc.getdoc(face)
        await model.load()
    hints = typing.get_type_hints(face)
    assert hints == {"image": str, "width": int, "return": str}
    assert inspect.get_annotations(face) == face.__annotations__ == face.__annotations__.copy()
    signature = inspect.signature(face)
    assert signature.parameters["width"].default == 128
    assert signature.parameters["image"].default is inspect.Parameter.empty
    assert signature.parameters["width"].annotation == face.__annotations__["width"]
    with pytest.raises(TypeError, match="missing a required .*argument: 'image'"):
        signature.bind()
    assert "image" not in inspect.signature(functools.partial(face, "a.png")).parameters
    assert copy.copy(face) is copy.deepcopy(face) is face

    @functools.wraps(face)
    def wrapper() -> None: ...

    assert wrapper.__name__ == "thumbnail"
    assert inspect.signature(wrapper) == signature

    text = pydoc.render_doc(face, renderer=pydoc.plaintext)
    for line in (
        "thumbnail(image=..., width=128)",
        "width: The width of the result in pixels. (int, from 1 to 4096, defaults to 128)",
        "image: The image, in any format that Pillow reads. (URL or file)",
    ):
        assert line in text
    # The class is unchanged.
    assert "width" not in str(inspect.signature(type(face).__call__))
    assert "image" not in str(inspect.signature(type(face)))
    assert (type(face).__doc__ or "").startswith("A model as a function")


async def test_the_json_schema_of_a_model(client: Any) -> None:
    model = client.use("dashscope/thumbnail")
    await model.load()
    schema = model.json_schema
    assert schema["required"] == ["image"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["width"]["maximum"] == 4096
    assert (schema["properties"]["image"]["type"], schema["properties"]["image"]["format"]) == (
        "string",
        "uri",
    )
    assert "x-order" not in str(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert model.output_schema["type"] == "string"
    tool = getattr(model, "_value", model).tool_definition()
    assert tool["type"] == "function"
    assert tool["function"]["name"] == "thumbnail"
    assert tool["function"]["description"].startswith("Creates a smaller PNG")
    assert tool["function"]["parameters"] == schema
    schema["properties"].clear()  # the copy of the caller
    assert model.json_schema["properties"]


async def test_the_json_schema_of_unusual_servers(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    components = {
        "Input": {
            "properties": {
                "node": {"$ref": "#/components/schemas/Node"},
                "size": {"allOf": [{"$ref": "#/components/schemas/Size"}], "default": "s"},
                "share": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
                "note": {"type": "string", "nullable": True, "default": "x"},
                "far": {"type": "object", "properties": {"a": {"$ref": "https://example.com"}}},
            },
            "required": ["node"],
        },
        "Node": {
            "type": "object",
            "properties": {"next": {"$ref": "#/components/schemas/Node"}},
            "x-order": 1,
        },
        "Size": {"type": "string", "enum": ["s", "m"]},
        "Output": {"type": "array", "items": {"$ref": "#/components/schemas/Size"}},
    }
    Models(fake_server, {"components": {"schemas": components}})
    model = scripted_client.use("owner/name")
    await model.load()
    schema = model.json_schema
    jsonschema.Draft202012Validator.check_schema(schema)
    properties = schema["properties"]
    assert properties["node"]["properties"]["next"] == {"$ref": "#/$defs/Node"}
    assert properties["size"]["enum"] == ["s", "m"]
    assert properties["share"] == {
        "anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}],
        "default": None,
    }
    jsonschema.validate({"node": {"next": {"next": {}}}, "note": None}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"node": {"next": {"next": 1}}}, schema)
    assert model.output_schema["$defs"] == {"Size": {"type": "string", "enum": ["s", "m"]}}


async def test_the_schema_is_fetched_once_and_only_when_needed(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    models = Models(fake_server, document(a={"type": "integer"}))
    function = scripted_client.use("owner/name")
    assert fake_server.request_lines == []
    await function.load()
    await function(a=1)
    await scripted_client.use("owner/name")(a=2)
    await scripted_client.with_options(timeout=9).use("owner/name")(a=3)
    assert models.fetches == 1


def test_many_tasks_at_once_fetch_the_schema_once(fake_server: FakeServer) -> None:
    models = Models(fake_server, document(a={"type": "integer"}))
    models.after = 0.1

    async def main() -> None:
        async with AsyncClient(base_url=fake_server.base_url) as client:
            function = client.use("owner/name")
            outputs = await asyncio.gather(*(function(a=n) for n in range(20)))
        assert outputs == [{"a": n} for n in range(20)]

    asyncio.run(main())
    assert models.fetches == 1


def test_many_threads_at_once_fetch_the_schema_once(fake_server: FakeServer) -> None:
    models = Models(fake_server, document(a={"type": "integer"}))
    models.after = 0.1
    outputs: list[Any] = []
    with Client(base_url=fake_server.base_url) as client:
        function = client.use("owner/name")
        threads = [
            threading.Thread(target=lambda n=n: outputs.append(function(a=n))) for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(output["a"] for output in outputs) == list(range(8))
    assert models.fetches == 1


async def test_a_long_default_is_in_the_help_once(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    long = "ugly, " * 60
    Models(
        fake_server, document(negative={"type": "string", "default": long}, steps={"default": 4})
    )
    model = scripted_client.use("owner/name")
    await model.load()
    text = getattr(model, "_value", model).__doc__ or ""
    assert "name(negative=..., steps=4)" in text
    assert text.count("ugly") == 60


def test_a_function_cannot_be_pickled(make_client: Callable[..., Any]) -> None:
    model = make_client(base_url="http://127.0.0.1:9/v1").use("owner/name")
    model = getattr(model, "_value", model)
    with pytest.raises(TypeError, match=r"model functions cannot be pickled: call use\(\)"):
        pickle.dumps(model)


def test_a_function_works_in_successive_event_loops(fake_server: FakeServer, backend: str) -> None:
    models = Models(fake_server, document(a={"type": "integer"}))
    function = AsyncClient(base_url=fake_server.base_url).use("owner/name")
    for n in range(3):

        async def call(n: int = n) -> Any:
            return await function(a=n)

        assert anyio.run(call, backend=backend) == {"a": n}
    assert models.fetches == 1


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def test_event_loops_in_several_threads_share_a_function(fake_server: FakeServer) -> None:
    Models(fake_server, document(a={"type": "integer"})).after = 0.05
    function = AsyncClient(base_url=fake_server.base_url).use("owner/name")
    outputs: list[Any] = []

    async def call(n: int) -> None:
        outputs.extend(await asyncio.gather(*(function(a=n) for _ in range(3))))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(call(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(output["a"] for output in outputs) == sorted([*range(4)] * 3)


def test_after_a_cancellation_the_next_task_fetches_the_schema(fake_server: FakeServer) -> None:
    models = Models(fake_server, document(a={"type": "integer"}))
    models.after = 0.2

    async def main() -> None:
        async with AsyncClient(base_url=fake_server.base_url) as client:
            function = client.use("owner/name")
            first = asyncio.create_task(function(a=1))
            second = asyncio.create_task(function(a=2))
            while not fake_server.requests:
                await asyncio.sleep(0.01)
            first.cancel()
            assert await second == {"a": 2}
            with pytest.raises(asyncio.CancelledError):
                await first

    asyncio.run(main())


def test_a_failed_fetch_raises_in_all_waiting_tasks_and_is_retried_later(
    fake_server: FakeServer,
) -> None:
    models = Models(fake_server, document(a={"type": "integer"}))
    models.fails = Reply(404, {}, b'{"detail": "no such model"}', delay=0.1)

    async def main() -> None:
        async with AsyncClient(base_url=fake_server.base_url) as client:
            function = client.use("owner/name")
            calls = (function(a=n) for n in range(5))
            errors = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(error) for error in errors] == [NotFoundError] * 5
            assert len({id(error) for error in errors}) == 5
            assert models.fetches == 1
            models.fails = None
            assert await function(a=1) == {"a": 1}

    asyncio.run(main())


async def test_the_latest_version_is_checked_before_an_argument_is_rejected(
    scripted_client: Any, fake_server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = Models(fake_server, document(a={}), document(a={}, b={}))
    function = scripted_client.use("owner/name")
    await function.load()
    with pytest.raises(TypeError, match="no input 'b'"):
        await function(a=1, b=2)
    assert models.fetches == 1  # the schema was fetched a moment ago
    monkeypatch.setattr("dashscope._functions.schema_cache.FRESH", 0.0)
    assert await function(a=1, b=2) == {"a": 1, "b": 2}
    assert models.fetches == 2
    versioned = scripted_client.use("owner/name:v1")
    await versioned.load()
    with pytest.raises(TypeError, match="no input 'c'"):
        await versioned(c=1)
    assert models.fetches == 3  # a version never changes


@variants("schema", [None, {}, {"components": {"schemas": {}}}])
async def test_a_model_without_a_schema_accepts_everything(
    scripted_client: Any, fake_server: FakeServer, schema: Any
) -> None:
    Models(fake_server, schema)
    function = scripted_client.use("owner/name")
    assert await function(anything=1) == {"anything": 1}
    face = getattr(function, "_value", function)
    assert str(inspect.signature(face)) == "(**inputs) -> Any"
    assert "does not describe its inputs" in pydoc.render_doc(face)


async def test_the_timeout_covers_the_schema_request(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    Models(fake_server, document(a={})).after = 1.0
    with pytest.raises(TimeoutError):
        await scripted_client.use("owner/name", timeout=0.1)(a=1)


async def test_the_timeout_of_a_function_limits_the_prediction(client: Any) -> None:
    with pytest.raises(dashscope.PredictionTimeoutError):
        await client.use("test/slow", timeout=0.5)(seconds=30)


async def test_the_timeout_of_a_function_limits_created_predictions(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    Models(fake_server, document(a={}))
    for timeout in (0.1, 2, 60, 30_000_000.0):
        await scripted_client.use("owner/name", timeout=timeout).create(a=1)
    await scripted_client.use("owner/name").create(a=1)
    sent = [request.headers for request in fake_server.requests if request.method == "POST"]
    # The service accepts at least five seconds.
    assert [headers.get("Cancel-After") for headers in sent] == [
        "5s",
        "5s",
        "60s",
        "30000000s",
        None,
    ]


async def test_webhooks_are_sent_to_the_server(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    Models(fake_server, document(a={}))
    function = scripted_client.use(
        "owner/name", webhook="https://example.com", webhook_events_filter=["completed"]
    )
    await function(a=1)
    await function.create(a=1)
    sent = [request.json for request in fake_server.requests if request.method == "POST"]
    assert [body["webhook"] for body in sent] == ["https://example.com"] * 2
    assert [body["webhook_events_filter"] for body in sent] == [["completed"]] * 2


@variants(
    ("ref", "options", "text"),
    [
        ("hello", {}, "owner/name"),
        (None, {}, "owner/name"),
        ("a/b", {"timeout": 0}, "timeout"),
        ("a/b", {"webhook": "nonsense"}, "webhook"),
        ("a/b", {"file_encoding": "zip"}, "file_encoding"),
    ],
)
def test_invalid_options_are_rejected_at_once(
    ref: Any, options: Any, text: str, make_client: Callable[..., Any]
) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        make_client(base_url="http://127.0.0.1:9/v1").use(ref, **options)
