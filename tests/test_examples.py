"""Every example of the README and of the docstrings runs, as it stands there."""

from __future__ import annotations

import ast
import asyncio
import base64
import logging
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

import dashscope
from dashscope import AsyncClient, Client
from dashscope._config import DEFAULT_BASE_URL
from dashscope.integrations.opentelemetry import uninstrument
from dashscope.local import LocalServer
from dashscope.testing import record, replay

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = Path(dashscope.__file__).parent
SYNC = PACKAGE / "_sync" / "generated.py"
SOURCES = sorted(set(PACKAGE.rglob("*.py")) - {SYNC})


def blocks(text: str) -> list[str]:
    """The Python examples in Markdown."""
    found = re.findall(r"^( *)```python\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


STAYS = re.compile(r"dashscope (serve|webhooks listen)")
INSTALLS = re.compile(r"^.*pip install .*? && (?=\.venv/bin/)", re.MULTILINE)


def commands() -> list[str]:
    """The examples of the command line, but for what installs, and what runs until it is stopped.

    Those are in `tests/cli/test_serve.py` and `test_webhooks.py`, and what `.ci/run` does.
    """
    scripts = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    scripts = [
        INSTALLS.sub("", script).replace(".venv/bin/dashscope", "dashscope") for script in scripts
    ]
    return [script for script in scripts if not STAYS.match(script) and "pytest" not in script]


def docstring_blocks(path: Path) -> Iterator[tuple[str, str]]:
    """The examples in a module's docstrings, and whose they are."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for code in blocks(ast.get_docstring(node) or ""):
                yield f"{path.stem}.{getattr(node, 'name', 'module')}", code


def rows(table: str) -> list[tuple[str, str]]:
    """The rows of a table of calls: theirs, ours."""
    table = README.partition(f"<!-- {table} -->")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*?) \| `(.*?)` \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n| ") - 1 > 20
    return rows


PROGRAMS = [
    code
    for code in blocks(README)
    if "from dashscope import" in code
    and ("asyncio.run(" in code or "with Client" in code or "LocalServer" in code)
]
TESTS = [code for code in blocks(README) if code.startswith("def test_")]
FRAGMENTS = [code for code in blocks(README) if code not in PROGRAMS and code not in TESTS]
ROWS = [
    row
    for row in [*rows("javascript-calls"), *rows("replicate-calls")]
    if not row[1].startswith("pip ")
]
DOCSTRINGS = [pair for path in SOURCES for pair in docstring_blocks(path)]
TESTS += [code for _, code in DOCSTRINGS if code.startswith("def test_")]
DOCSTRINGS = [pair for pair in DOCSTRINGS if pair[1] not in TESTS]
SYNC_DOCSTRINGS = list(docstring_blocks(SYNC))


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def _at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> Iterator[None]:
    """A folder with the files that the examples name, and the server's address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    Image.new("RGB", (640, 480), "teal").save("photo.png")
    Path("book.txt").write_text("the cat sat on the mat and the dog sat on the log. " * 20)
    logger, handlers = logging.getLogger("dashscope"), logging.getLogger("dashscope").handlers[:]
    yield
    uninstrument()
    logger.handlers[:] = handlers
    logger.setLevel(logging.NOTSET)


def names(server: LocalServer) -> dict[str, Any]:
    """What the examples take for granted."""
    with Client(base_url=server.base_url) as client:
        with suppress(dashscope.ConflictError):
            client.models.create("local", "my-style", visibility="private", hardware="cpu")
        hello = client.models.get("dashscope", "hello-world").latest_version
        markov = client.models.get("dashscope", "markov").latest_version
        assert hello is not None
        assert markov is not None
        with suppress(dashscope.ConflictError):
            client.deployments.create(
                name="my-deployment",
                model="dashscope/hello-world",
                version=hello.id,
                hardware="cpu",
                min_instances=0,
                max_instances=1,
            )
        file = client.files.create(Path("photo.png"))
        signed = httpx.URL(file.raw["urls"]["download"]).params
        training = client.trainings.create(
            "dashscope",
            "markov",
            markov.id,
            destination="local/my-style",
            input={"text": Path("book.txt")},
        )
        assert file.urls is not None
        return {
            **{name: getattr(dashscope, name) for name in dashscope.__all__},
            "asyncio": asyncio,
            "httpx": httpx,
            "Path": Path,
            "AsyncClient": AsyncClient,
            "Client": Client,
            "model": "dashscope/hello-world",
            "input": {"text": "Alice"},
            "version_id": hello.id,
            "markov_version_id": markov.id,
            "prediction": client.models.predictions.create(
                "dashscope", "countdown", input={"start": 1, "delay": 0}
            ),
            "training": training,
            "suppress": suppress,
            "slug": client.collections.list()[0].slug,
            "file": file,
            "url": file.urls.get,
            "data_uri": "data:image/png;base64,"
            + base64.b64encode(Path("photo.png").read_bytes()).decode(),
            "owner": signed["owner"],
            "expiry": int(signed["expiry"]),
            "signature": signed["signature"],
        }


def run_fragment(code: str, namespace: dict[str, Any]) -> None:
    """Run a piece of code that may `await`, with a client of its own."""
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    compiled = compile(code, "<example>", "exec", flags=flags)

    async def run() -> None:
        async with AsyncClient() as client:
            result = eval(compiled, {**namespace, "client": client})
            if result is not None:
                await result

    asyncio.run(run())


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize("code", PROGRAMS)
def test_the_programs_of_the_readme_run(code: str) -> None:
    Path("program.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "program.py"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout.strip() in ("hello Alice", "hey hey hey")


def test_the_tests_of_the_readme_pass(
    server: LocalServer, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(**{f"test_{number}": code for number, code in enumerate(TESTS)})
    for option in ("--dashscope-record", "-q"):
        done = pytester.runpytest_subprocess("-p", "dashscope.testing", option)
        done.assert_outcomes(passed=len(TESTS))


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize("script", commands())
def test_the_commands_of_the_readme_run(script: str) -> None:
    Path("tests").symlink_to(ROOT / "tests")
    Path("dashscope").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m dashscope "$@"\n')
    Path("dashscope").chmod(0o755)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PATH": f".:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout + done.stderr or ">" in script
    assert "error" not in done.stderr


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize("code", FRAGMENTS)
def test_the_fragments_of_the_readme_run(code: str, server: LocalServer) -> None:
    run_fragment(code, names(server))


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize(("theirs", "ours"), ROWS)
def test_each_call_of_other_clients_has_one_of_ours(
    theirs: str, ours: str, server: LocalServer
) -> None:
    run_fragment(ours, names(server))


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize(("where", "code"), DOCSTRINGS, ids=[where for where, _ in DOCSTRINGS])
def test_the_examples_of_the_docstrings_run(where: str, code: str, server: LocalServer) -> None:
    namespace = {**names(server), "record": record, "replay": replay}
    if where == "replaying.replay":
        run_fragment(dict(DOCSTRINGS)["recording.record"], namespace)
    code = code.replace(DEFAULT_BASE_URL, server.base_url)
    if where.startswith("trainings"):
        code = code.replace("me/my-style", "local/my-style")
        namespace["version_id"] = namespace["markov_version_id"]
    run_fragment(code, namespace)


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize(
    ("where", "code"), SYNC_DOCSTRINGS, ids=[where for where, _ in SYNC_DOCSTRINGS]
)
def test_the_examples_of_the_sync_docstrings_run(
    where: str, code: str, server: LocalServer
) -> None:
    namespace = names(server)
    if "my-style" in code:
        code = code.replace("me/my-style", "local/my-style")
        namespace["version_id"] = namespace["markov_version_id"]
    with Client() as client:
        exec(textwrap.dedent(code), {**namespace, "client": client})
