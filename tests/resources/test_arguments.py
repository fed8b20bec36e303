"""Every parameter of every operation: a wrong type is a TypeError, a wrong value a ValueError.

Both name the parameter, and nothing is sent. `CALLS` has valid arguments for each operation. Each
test replaces one of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from attrs import frozen

from dashscope import AsyncClient, Prediction, Training
from tests.servers.fake_server import FakeServer
from tests.variants import variants

OPENED = frozenset({"stream", "predictions.stream", "files.download", "map"})
"""Operations that send nothing before they are entered."""


@frozen
class ParameterKind:
    """A kind of parameter, with values of a wrong type and wrong values."""

    right: Any
    types: tuple[Any, ...]
    values: tuple[Any, ...] = ()


class UnsupportedObject:
    """An object that no parameter accepts."""


TEXT = ParameterKind(
    "text", (None, b"text", 7, True, 1.5, ["text"], UnsupportedObject()), ("", " ", "\ud800")
)
SEGMENT = ParameterKind("text", TEXT.types, ("", "..", "\ud800"))
MAYBE = ParameterKind(
    "text", TEXT.types[1:], ("\ud800",)
)  # None changes nothing, an empty text clears the field
REF = ParameterKind("owner/name", TEXT.types, ("", " ", "text", "a/\ud800", "x" * 100_000))
CURSOR = ParameterKind("cD0x", TEXT.types[1:], ("", " ", "a\nb", "\ud800", "x" * 16_385))
SECONDS = ParameterKind(
    5.0,
    (b"5", True, "5", [5], UnsupportedObject()),
    (float("nan"), float("inf"), -3, 0, 10**400, 1e308),
)
FLAG = ParameterKind(True, (0, 1, "no", "", b"", [], UnsupportedObject()))
INPUT = ParameterKind(
    {"text": "x"},
    (None, b"text", 7, True, "text", ["text"], UnsupportedObject()),
    ({"a": "\ud800"},),
)
NO_INPUT = ParameterKind(INPUT.right, INPUT.types[1:], INPUT.values)
"""The input of `run` and `stream`, which is optional."""
EVENTS = ParameterKind(
    ["start"],
    (
        b"start",
        7,
        True,
        "start",
        {"start": 1},
        [None],
        [b"start"],
        UnsupportedObject(),
        iter(["start"]),
    ),
    (["begin"],),
)
WEBHOOK = ParameterKind(
    "https://example.com", TEXT.types[1:], ("", " ", "text", "ftp://x", "\ud800")
)
WAIT = ParameterKind(5, (b"5", True, "5", 1.5, UnsupportedObject()), (0, -3, 61, 10**400))
CANCEL_AFTER = ParameterKind(
    5,
    (b"5", True, [5], UnsupportedObject()),
    (1.5, 0, -3, float("nan"), "", "5x", 10**400, "999999999h"),
)
FUNCTION = ParameterKind(
    print, (b"x", 7, True, "print", [print], UnsupportedObject(), "x" * 100_000)
)
JOB = ParameterKind("p1", (*TEXT.types,), ("", "..", "\ud800"))
HEADERS = ParameterKind(
    {"X": "y"}, (7, "X: y", ["X"], {"X": 1}, {1: "y"}), ({"X Y": "z"}, {"X": "\n"})
)


def choice(right: str) -> ParameterKind:
    return ParameterKind(
        right, (b"x", 7, True, [right], UnsupportedObject()), ("", "other", "\ud800")
    )


CREATE = {
    "input": INPUT,
    "wait": WAIT,
    "cancel_after": CANCEL_AFTER,
    "stream": FLAG,
    "webhook": WEBHOOK,
    "webhook_events_filter": EVENTS,
}
MODEL = {"owner": SEGMENT, "name": SEGMENT}
LISTED = {"cursor": CURSOR}
CHOSEN = {"file_encoding": choice("auto"), "use_file_output": FLAG}
HOOKED = {"webhook": WEBHOOK, "webhook_events_filter": EVENTS}
WATCHED = {
    "poll_interval": SECONDS,
    "timeout": SECONDS,
    "progress": FUNCTION,
    "cancel_on_exit": FLAG,
}
LINKS = dict.fromkeys(("description", "github_url", "paper_url", "license_url"), MAYBE)
TIME = ParameterKind(
    "2026-01-01T00:00:00Z", (b"2026", 7, True), ("", "\ud800", datetime(2026, 1, 1))
)


def instances(most: int) -> ParameterKind:
    return ParameterKind(most, (b"1", True, "1", 1.5, UnsupportedObject()), (-1, most + 1, 10**400))


REQUIRED = {"name": TEXT, "model": TEXT, "version": TEXT, "hardware": TEXT}
SCALE = {"min_instances": instances(5), "max_instances": instances(20)}

CALLS: Mapping[str, Mapping[str, ParameterKind]] = {
    "run": {"ref": REF, "input": NO_INPUT, "wait": WAIT, **HOOKED, **CHOSEN, **WATCHED},
    "stream": {
        "ref": REF,
        "input": NO_INPUT,
        "timeout": SECONDS,
        "stall_timeout": SECONDS,
        **HOOKED,
        **CHOSEN,
        "cancel_on_exit": FLAG,
    },
    "use": {"ref": REF, "timeout": SECONDS, "progress": FUNCTION, **HOOKED, **CHOSEN},
    "map": {
        "ref": REF,
        "concurrency": ParameterKind(3, (None, "3", 1.5, True), (0, -1, 10**400)),
        "ordered": FLAG,
        "checkpoint": ParameterKind("run.sqlite", (b"x", 7, True, [])),
        "resume": choice("yield"),
        "on_error": choice("yield"),
        "on_unknown": choice("error"),
        "max_rate": SECONDS,
        "progress": FUNCTION,
        "timeout": SECONDS,
        **CHOSEN,
        "poll_interval": SECONDS,
    },
    "wait": {"prediction": JOB, **WATCHED},
    "paginate": {"method": ParameterKind(None, (None, "list", 5))},
    "iterate": {"max_items": ParameterKind(3, ("3", 1.5, True), (-1, 10**400))},
    "search": {"query": TEXT, "limit": ParameterKind(5, (b"5", True, "5", 1.5), (0, 51))},
    "request": {
        "method": ParameterKind("GET", TEXT.types, ("", " ", "G T", "\ud800")),
        "path": ParameterKind("/x", TEXT.types, ("", " ", "x", "/a b", "/../x", "\ud800")),
        "params": ParameterKind(
            {"a": 1}, (b"a", 7, "a=1", ["a"], [("a", 1, 2)], {"a": [1]}, {1: "a"}), ()
        ),
        "content": ParameterKind(None, (7, True, 1.5, ["a"], {}, UnsupportedObject()), ("\ud800",)),
        "files": ParameterKind(None, (b"x", 7, "x", ["a"], {"a": "x"}, {"a": 1})),
        "headers": HEADERS,
        "timeout": SECONDS,
    },
    "with_options": {
        "timeout": SECONDS,
        "max_retries": ParameterKind(3, (None, "3", 1.5, True), (-1, 10**400)),
        "headers": HEADERS,
    },
    "account.get": {},
    "collections.list": LISTED,
    "collections.get": {"slug": SEGMENT},
    "deployments.list": LISTED,
    "deployments.create": REQUIRED | SCALE,
    "deployments.get": MODEL,
    "deployments.update": {
        **MODEL,
        **dict.fromkeys(
            ("version", "hardware"), ParameterKind("v", MAYBE.types, ("", " ", "\ud800"))
        ),
        **SCALE,
    },
    "deployments.delete": MODEL,
    "deployments.predictions.create": MODEL | CREATE,
    "files.create": {
        "content": ParameterKind(
            b"x", (None, 7, True, "photo.png", ["a"], {"a": 1}, UnsupportedObject())
        ),
        "filename": ParameterKind("f", MAYBE.types, ("", "a\nb", "x" * 256, "ü" * 128, "\ud800")),
        "content_type": ParameterKind("text/plain", MAYBE.types, ("", "text", "a/b\n", "\ud800")),
        "metadata": ParameterKind(
            {"a": 1}, (b"a", 7, True, "a", ["a"], [("a", 1)], UnsupportedObject())
        ),
        "progress": FUNCTION,
        "timeout": SECONDS,
    },
    "files.list": LISTED,
    "files.get": {"file": JOB},
    "files.delete": {"file": JOB},
    "files.download": {
        "file": JOB,
        "owner": TEXT,
        "expiry": ParameterKind(5, (None, "5", 1.5, True), (-1, 2**63)),
        "signature": TEXT,
    },
    "hardware.list": {},
    "models.list": {"sort_by": choice("model_created_at"), "sort_direction": choice("asc")}
    | LISTED,
    "models.create": {
        "owner": TEXT,
        "name": TEXT,
        "visibility": choice("public"),
        "hardware": TEXT,
        **LINKS,
        "cover_image_url": MAYBE,
    },
    "models.get": MODEL,
    "models.update": MODEL | LINKS | {"readme": MAYBE, "weights_url": MAYBE},
    "models.delete": MODEL,
    "models.search": {"query": TEXT} | LISTED,
    "models.predictions.create": MODEL | CREATE,
    "models.versions.list": MODEL | LISTED,
    "models.versions.get": MODEL | {"version_id": SEGMENT},
    "models.versions.delete": MODEL | {"version_id": SEGMENT},
    "models.examples.list": MODEL | LISTED,
    "models.readme.get": MODEL,
    "predictions.create": {"version": TEXT} | CREATE,
    "predictions.get": {"prediction": JOB},
    "predictions.list": {"created_after": TIME, "created_before": TIME, "source": choice("web")}
    | LISTED,
    "predictions.cancel": {"prediction": JOB},
    "predictions.stream": {
        "prediction": JOB,
        "timeout": SECONDS,
        "stall_timeout": SECONDS,
        "use_file_output": FLAG,
        "cancel_on_exit": FLAG,
    },
    "trainings.create": {
        **MODEL,
        "version_id": SEGMENT,
        "destination": REF,
        "input": INPUT,
        **HOOKED,
    },
    "trainings.get": {"training": JOB},
    "trainings.list": LISTED,
    "trainings.cancel": {"training": JOB},
    "trainings.wait": {"training": JOB, **WATCHED},
    "webhooks.default.secret.get": {},
}


def method_of(client: Any, name: str) -> Any:
    for part in name.split("."):
        client = getattr(client, part)
    return client


def names_of(name: str) -> set[str]:
    client = AsyncClient(base_url="http://127.0.0.1:1/v1")
    parameters = inspect.signature(method_of(client, name)).parameters.values()
    return {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


async def call(client: Any, name: str, arguments: dict[str, Any]) -> None:
    if name in ("paginate", "iterate"):
        arguments = {"method": client.predictions.list} | arguments
        async for _ in method_of(client, name)(**arguments):
            return
    if name == "map":
        arguments = {"inputs": [{}]} | arguments
    result = method_of(client, name)(**arguments)
    if name in OPENED:
        async with result:
            return
    if name not in ("use", "with_options"):
        await result


SAID = {
    "ref": "a str|model|ref",
    "destination": "a str|model|ref",
    "cancel_after": "duration|cancel_after",
    "files": "files|a file must be",
    "content": "content|a file must be",
    "method": "method|paginate",
    "headers": "header",
}
"""The names of parameters in messages, if they differ from the parameter."""


@variants("name", CALLS)
def test_the_table_contains_every_parameter(name: str) -> None:
    body = {"json"} if name == "request" else set()
    left = {"map": {"inputs"}, "iterate": {"method"}}.get(name, set())
    assert set(CALLS[name]) == names_of(name) - body - left


@variants("name", CALLS)
async def test_invalid_arguments_are_rejected_before_a_request(
    scripted_client: Any,
    fake_server: FakeServer,
    name: str,
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds = CALLS[name]
    caplog.set_level("INFO", "dashscope")
    right = {name: kind.right for name, kind in kinds.items() if kind.right is not None}
    for parameter, kind in kinds.items():
        message = SAID.get(parameter, parameter)
        cases = [(TypeError, wrong) for wrong in kind.types]
        cases += [(ValueError, wrong) for wrong in kind.values]
        for error, wrong in cases:
            with pytest.raises(error, match=message) as caught:
                await call(scripted_client, name, right | {parameter: wrong})
            assert isinstance(caught.value, error), (parameter, wrong)
            assert not hasattr(caught.value, "__notes__"), (parameter, wrong)
            assert len(str(caught.value)) < 400, (parameter, str(wrong)[:50])
    assert fake_server.requests == []
    assert [ascii(record.getMessage()) for record in caplog.records] == []
    assert list(tmp_path.iterdir()) == []


@variants("name", ["predictions.get", "predictions.cancel", "predictions.stream"])
async def test_a_training_is_not_a_prediction(
    scripted_client: Any, fake_server: FakeServer, name: str
) -> None:
    with pytest.raises(TypeError, match=r"a Prediction or an id, not Training\("):
        await call(scripted_client, name, {"prediction": Training(id="t1", status="starting")})
    assert fake_server.requests == []


@variants("name", ["trainings.get", "trainings.cancel", "trainings.wait"])
async def test_a_prediction_is_not_a_training(
    scripted_client: Any, fake_server: FakeServer, name: str
) -> None:
    with pytest.raises(TypeError, match=r"a Training or an id, not Prediction\("):
        await call(scripted_client, name, {"training": Prediction(id="p1", status="starting")})
    assert fake_server.requests == []
