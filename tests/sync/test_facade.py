"""The sync client has the same API as the async client, without `await`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dashscope
from dashscope._common.cached_property import cached_property
from dashscope._sync import generate, generated
from dashscope._sync.facade import Facade
from tests.variants import variants

# The base class of the resources has no sync counterpart.
NO_SYNC_CLASS = {"AsyncResource"}
RENAMED = {
    "_repr_html_": "_repr_html_",
    "__call__": "__call__",
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
}


def async_classes() -> Iterator[type]:
    skipped = (
        *("dashscope.local", "dashscope.cli", "dashscope.__main__", "dashscope._sync"),
        *("dashscope._runtime", "dashscope._transport"),
    )
    for info in pkgutil.walk_packages(dashscope.__path__, "dashscope."):
        if info.name.startswith((*skipped, "dashscope.testing", "dashscope.integrations")):
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            own = isinstance(value, type) and value.__module__ in ("dashscope", info.name)
            if own and re.match(r"Async[A-Z]", name) and name not in NO_SYNC_CLASS:
                yield value


CLASSES = sorted(set(async_classes()), key=lambda cls: cls.__name__)


def members(cls: type) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(cls).items()
        if (not name.startswith("_") or name in RENAMED)
        and (inspect.isfunction(value) or isinstance(value, property | cached_property))
    }


MEMBERS = [(cls, name) for cls in CLASSES for name in members(cls)]
METHODS = [(cls, name) for cls, name in MEMBERS if inspect.isfunction(vars(cls)[name])]


def sync_class(cls: type) -> type:
    found: type = getattr(generated, cls.__name__.removeprefix("Async"))
    return found


def sync_member(cls: type, name: str) -> Any:
    return vars(sync_class(cls))[RENAMED.get(name, name)]


def plain(annotation: Any) -> Any:
    """Return the annotation that the sync counterpart must have."""
    if not isinstance(annotation, str):
        return annotation
    annotation = re.sub(r"\bAsyncGenerator\[(.+), None\]", r"ClosingIterator[\1]", annotation)
    annotation = re.sub(r"(Iterable\[.+\]) \| Async\1", r"\1", annotation)
    # A module refers to names that it does not import as attributes of the exporting package.
    annotation = re.sub(r"\b(types|resources|_\w+)\.", "", annotation)
    annotation = re.sub(r"\bAwaitable\[(\w+\[\w+\])\]", r"\1", annotation)
    return re.sub(r"\bAsync(?=[A-Z])", "", annotation)


def plain_signature(function: Any) -> inspect.Signature:
    signature = inspect.signature(function)
    return signature.replace(
        parameters=[
            parameter.replace(annotation=plain(parameter.annotation))
            for parameter in signature.parameters.values()
        ],
        return_annotation=plain(signature.return_annotation),
    )


def code(docstring: str | None) -> str:
    found = re.findall(r"```python\n(.*?) *```", docstring or "", re.DOTALL)
    return "\n".join(map(textwrap.dedent, found))


def test_the_generated_file_is_what_the_generator_writes() -> None:
    written = Path(generated.__file__).read_text(encoding="utf-8")
    assert written == generate.generate(), "run: python -m dashscope._sync.generate"


def test_the_comparison_is_not_empty() -> None:
    assert {cls.__name__ for cls in CLASSES} >= {
        "AsyncClient",
        "AsyncPredictions",
        "AsyncModelReadme",
        "AsyncFileOutput",
        "AsyncDownload",
    }
    assert len(METHODS) > 50


@variants("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_async_class_has_a_sync_class_with_the_same_members(cls: type) -> None:
    names = {RENAMED.get(name, name) for name in members(cls)}
    found = {
        name for name, value in vars(sync_class(cls)).items()
        if (not name.startswith("_") or name in RENAMED.values())
        and (inspect.isfunction(value) or isinstance(value, property | cached_property))
    }  # fmt: skip
    assert found == names


@variants(("cls", "name"), METHODS, ids=lambda x: getattr(x, "__name__", x))
def test_a_method_has_the_same_signature(cls: type, name: str) -> None:
    method = vars(cls)[name]
    other = sync_member(cls, name)
    assert plain_signature(other) == plain_signature(method)
    assert not inspect.iscoroutinefunction(other)
    assert not inspect.isasyncgenfunction(other)
    assert [plain_signature(item) for item in typing.get_overloads(other)] == [
        plain_signature(item) for item in typing.get_overloads(method)
    ]


@variants(
    ("cls", "name"),
    [case for case in MEMBERS if case not in METHODS],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_a_property_has_the_same_type(cls: type, name: str) -> None:
    def getter(value: Any) -> Any:
        return value.fget if isinstance(value, property) else value.func

    own, other = vars(cls)[name], sync_member(cls, name)
    assert type(other) is type(own)
    assert plain_signature(getter(other)) == plain_signature(getter(own))


def test_the_constructors_have_the_same_parameters() -> None:
    own = inspect.signature(dashscope.AsyncClient)
    other = inspect.signature(dashscope.Client)
    assert other == plain_signature(dashscope.AsyncClient)
    assert own.parameters["http_client"].annotation.startswith("protocols.AsyncHTTPClient |")
    assert other.parameters["http_client"].annotation.startswith("protocols.HTTPClient |")


@variants(("cls", "name"), MEMBERS, ids=lambda x: getattr(x, "__name__", x))
def test_docstrings_have_no_await(cls: type, name: str) -> None:
    if name in RENAMED and name != "aclose":
        return
    own, other = inspect.getdoc(vars(cls)[name]), inspect.getdoc(sync_member(cls, name))
    assert own
    assert other
    assert not re.search(r"\b(await|async|aclose|anext|Async\w+)\b", code(other))
    assert "async" not in other.lower().replace("asynchron", "")
    assert "await" not in other
    # The sections on arguments, exceptions and the endpoint are the same.
    for pattern in (r"^\s+(\w+):", r"^\s+(\w+Error):", r"^Endpoints?: .*"):
        assert re.findall(pattern, other, re.MULTILINE) == re.findall(pattern, own, re.MULTILINE)
    assert code(other).count("\n") == code(own).count("\n")
    compile(code(other), "example", "exec")


@variants("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_examples_of_classes_have_no_await(cls: type) -> None:
    other = inspect.getdoc(sync_class(cls))
    assert other
    assert not re.search(r"\b(await|async|Async\w+)\b", code(other))
    compile(code(other), "example", "exec")


def test_a_facade_has_its_own_name_in_its_repr() -> None:
    client = dashscope.Client()
    assert repr(client) == "Client(base_url='http://127.0.0.1:3274/v1')"
    assert isinstance(client.models.versions, Facade)
    assert "Async" not in repr(client.models.versions)
    client.close()


def test_views_of_a_client_are_clients() -> None:
    client = dashscope.Client()
    assert type(client.with_options(timeout=5)) is dashscope.Client
    assert isinstance(dashscope.AsyncClient().with_options(timeout=5), dashscope.AsyncClient)
    client.close()


def test_a_view_of_a_subclass_is_an_instance_of_it() -> None:
    class Own(dashscope.Client):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class AsyncOwn(dashscope.AsyncClient):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    for client in (Own("a"), AsyncOwn("a")):
        models = client.models  # each view has its own cached values
        view = client.with_options(timeout=5)
        assert type(view) is type(client)
        assert view.name == "a"
        assert view.models is not models


def test_a_resource_is_created_once() -> None:
    for client in (dashscope.AsyncClient(), dashscope.Client()):
        assert client.models is client.models
        assert client.predictions is not client.trainings
