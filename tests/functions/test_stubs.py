"""Typed stubs of models: type checkers know the inputs and the output of a model."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import dashscope
from dashscope import stubs
from dashscope._functions.schema import ModelSchema
from dashscope.local import LocalServer

ROOT = Path(dashscope.__file__).parents[1]

RIGHT = """
from pathlib import Path

from models import HelloWorldInput, hello_world, kinds, markov, thumbnail

async def main() -> None:
    text: str = await hello_world(text="Alice")
    image = await thumbnail(image=Path("photo.png"), width=64)
    again = await thumbnail(image=image)
    await again.save("thumbnail.png")
    words: list[str] = await markov(seed=None)
    await kinds(choice="2")
    print((await hello_world.create(text=text)).status)
    rows: list[HelloWorldInput] = [{"text": "Bob"}]
    async with markov.stream(prompt="a") as stream:
        async for event in stream:
            print(event, words, rows)
"""

WRONG = """
from models import hello_world, kinds, thumbnail

async def main() -> None:
    await hello_world(txet="Alice")
    await thumbnail(image="https://example.com/a.png", width="64")
    await thumbnail.create()
    await kinds(choice="3")
    number: int = await hello_world(text="Alice")
"""

MODELS = """
from dashscope import AsyncClient, Client

LIMIT: int = 3
client = AsyncClient()
sync_client = Client()
hello = client.use("dashscope/hello-world")
also, hello_sync = 1, None
hello_sync = sync_client.use(ref="dashscope/hello-world")

def helper() -> int: ...
"""

MIXED = """
from mine import LIMIT, HelloInput, client, hello, hello_sync, helper, sync_client

async def main() -> None:
    text: str = await hello("Alice") + hello_sync(text="Bob")
    rows: list[HelloInput] = [{"text": text}]
    async with client, hello.map(rows, ordered=True) as batch:
        async for result in batch:
            print(result.output, LIMIT, helper())
    with sync_client, hello_sync.map([{"text": "a"}]) as results:
        print(list(results))
    hello.map([{"txet": "a"}])
    hello_sync.map([{"text": 1}])
"""

BLOCKING = """
from models_blocking import hello_world

text: str = hello_world(text="Alice")
hello_world(text=1)
"""


def schema(inputs: dict[str, Any], output: Any = None) -> ModelSchema:
    schemas = {"Input": {"properties": inputs}, "Output": output or {}}
    return ModelSchema(document={"components": {"schemas": schemas}})


class Written(NamedTuple):
    code: int
    stdout: str
    stderr: str


Write = Callable[..., Written]


@pytest.fixture
def write(
    server: LocalServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Write:
    """Run `python -m dashscope.stubs` in this process."""
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)

    def write(*arguments: str) -> Written:
        return Written(stubs.main(arguments), *capsys.readouterr())

    return write


def test_it_is_a_program(server: LocalServer, write: Write) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dashscope.stubs", "dashscope/hello-world"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == write("dashscope/hello-world")


def test_a_type_checker_finds_a_wrong_argument(
    write: Write, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    refs = ["dashscope/hello-world", "dashscope/thumbnail", "dashscope/markov", "test/kinds"]
    (tmp_path / "models.pyi").write_text(write(*refs).stdout)
    (tmp_path / "models_blocking.pyi").write_text(write("--blocking", refs[0]).stdout)
    (tmp_path / "mine.py").write_text(MODELS)
    (tmp_path / "mine.pyi").write_text(write(str(tmp_path / "mine.py")).stdout)
    programs = {"right": RIGHT, "wrong": WRONG, "blocking": BLOCKING, "mixed": MIXED}
    for name, code in programs.items():
        (tmp_path / f"{name}.py").write_text(code)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--no-error-summary",
            "--hide-error-context",
            f"--cache-dir={request.config.rootpath / '.mypy_cache' / 'stubs'}",
            "models.pyi",
            "models_blocking.pyi",
            "right.py",
            "wrong.py",
            "blocking.py",
            "mine.pyi",
            "mixed.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    found = {
        where: what
        for where, separator, what in (
            line.partition(": error: ") for line in done.stdout.splitlines()
        )
        if separator
    }
    assert sorted(found) == [
        "blocking.py:5",
        "mixed.py:12",
        "mixed.py:13",
        "wrong.py:5",
        "wrong.py:6",
        "wrong.py:7",
        "wrong.py:8",
        "wrong.py:9",
    ], done.stdout + done.stderr
    assert 'Unexpected keyword argument "txet"' in found["wrong.py:5"]
    assert 'expected "int"' in found["wrong.py:6"]
    assert 'Missing positional argument "image"' in found["wrong.py:7"]


def test_a_model_that_cannot_be_written_is_explained(write: Write) -> None:
    done = write("dashscope/no-such-model")
    assert done.code == 1
    assert done.stdout == ""
    assert "no-such-model not found" in done.stderr
    assert "Traceback" not in done.stderr
    assert "owner/name" in write("hello").stderr
    assert "No such file" in write("missing.py").stderr
    assert "no model function" in write(__file__).stderr


def test_map_has_the_options_of_the_function() -> None:
    text = stubs.stubs({"a/b": schema({})})
    tree = ast.parse(text)
    (cls,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    (typed,) = [node for node in cls.body if getattr(node, "name", "") == "map"]
    assert isinstance(typed, ast.FunctionDef)
    names = [arg.arg for arg in [*typed.args.args, *typed.args.kwonlyargs]]
    assert names == list(inspect.signature(dashscope.AsyncModelFunction.map).parameters)


def test_a_version_has_a_stub_too(server: LocalServer) -> None:
    with dashscope.Client(base_url=server.base_url) as client:
        version = client.models.get("dashscope", "hello-world").latest_version
        assert version is not None
        found = stubs.fetch(client, [f"dashscope/hello-world:{version.id}"])
    assert "def __call__(self, /, text: str) -> str:" in stubs.stubs(found)


def test_the_outputs_of_one_model_are_an_input_of_another() -> None:
    files = {"type": "array", "items": {"type": "string", "format": "uri"}}
    text = stubs.stubs({"a/b": schema({"images": files, "self": {"type": "object"}}, files)})
    # A `list[AsyncFileOutput]` is not a `list` of the other file types.
    assert "images: Sequence[_File | str] | None" in text
    assert '"self": Mapping[str, Any] | None' in text
    assert "-> list[AsyncFileOutput]:" in text
    assert "def __call__(_self, /" in text  # type checkers allow this for `self`


def test_any_schema_produces_valid_python() -> None:
    odd = schema(
        {
            "self": {"type": "string", "description": 'ends """ early \\'},
            "class": {"type": "string"},
            'a"b\n': {"enum": ["'", '"', "\n", 'x"""']},
            "é": {"type": "string", "default": "é"},
            "long": {"type": "string", "default": "x" * 1000},
            "never": {"type": "number", "default": {"a": []}},
            "odd": {"enum": [1.5, [2]]},
        },
        {"anyOf": [{"type": "string", "format": "uri"}, {"type": "null"}]},
    )
    text = stubs.stubs(
        {
            "a/b": odd,
            "c/b": odd,
            "a/1": odd,
            "a/str": odd,
            "a/class": odd,
            "a/x:1": odd,
            "a/x:2": odd,
            "a/path": ModelSchema(),
        }
    )
    tree = ast.parse(text)
    names = [node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)]  # type: ignore[union-attr]
    assert names[2:] == [
        "a_b",
        "c_b",
        "model_1",
        "model_str",
        "model_class",
        "a_x",
        "a_x_2",
        "path",
    ]
    assert len({node.name for node in tree.body if isinstance(node, ast.ClassDef)}) == 8
    assert "-> AsyncFileOutput | None:" in text
