"""Every example of the README, of the guides and of the docstrings runs unchanged."""

from __future__ import annotations

import ast
import logging
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dashscope
from dashscope import Client, guides
from dashscope._config import DEFAULT_BASE_URL
from dashscope.integrations.opentelemetry import uninstrument
from dashscope.local import LocalServer
from dashscope.testing import record, replay
from tests.examples import (
    ROOT,
    check_tests,
    code_of_tests,
    examples,
    names,
    prepare_files,
    prepare_folder,
    rows,
    run_alone,
    run_examples,
)
from tests.integrations.serving import TestClient

README = ROOT / "README.md"
PACKAGE = Path(dashscope.__file__).parent
GUIDES = sorted((PACKAGE / "guides").glob("*.md"))
DOCUMENTS = [README, *GUIDES]
MOST_WORDS = 1000
"""The maximum length of a guide, in words."""


SYNC = PACKAGE / "_sync" / "generated.py"
SOURCES = sorted(set(PACKAGE.rglob("*.py")) - {SYNC})
WITH_EXAMPLES = [
    path for path in (*SOURCES, SYNC) if "```python" in path.read_text(encoding="utf-8")
]
TABLES = [path for path in GUIDES if path.stem.startswith("from-")]


def blocks(text: str) -> list[str]:
    """Return the Python examples in a docstring."""
    found = re.findall(r"^( *)```python\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


def docstring_blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Return the examples in a module's docstrings, with the names of their objects."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for code in blocks(ast.get_docstring(node) or ""):
                yield f"{path.stem}.{getattr(node, 'name', 'module')}", code


def is_test(code: str) -> bool:
    """Whether the example of a docstring is a test."""
    return code.startswith("def test_")


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture
def _at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: LocalServer
) -> Iterator[None]:
    """A folder with the files that the examples use, and the server's address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    prepare_folder()
    logger, handlers = logging.getLogger("dashscope"), logging.getLogger("dashscope").handlers[:]
    yield
    uninstrument()
    logger.handlers[:] = handlers
    logger.setLevel(logging.NOTSET)
    logging.getLogger("httpx").setLevel(logging.NOTSET)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
def test_the_examples_of_a_document_run(path: Path, server: LocalServer) -> None:
    printed = run_examples(path, server)
    if path == README:
        assert printed
        assert set(printed) <= {"hello Alice", "hey hey hey"}


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize("path", [README, PACKAGE / "guides" / "web-applications.md"])
def test_the_application_in_the_examples_streams(path: Path) -> None:
    (code,) = [example.code for example in examples(path) if "app = FastAPI(" in example.code]
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    with TestClient(namespace["app"]) as browser:
        assert browser.post("/greet", params={"name": "Alice"}).json() == "hello Alice"
        events = browser.get("/countdown", params={"start": 2}).text
    assert re.findall(r"^data: (.+)$", events, re.MULTILINE)[:3] == ["2", "1", "0"]
    assert events.count("event: done") == 1


def test_the_tests_among_the_examples_pass(
    server: LocalServer, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    tests = [code for path in DOCUMENTS for code in code_of_tests(path)]
    tests += [code for path in WITH_EXAMPLES for _, code in docstring_blocks(path) if is_test(code)]
    check_tests(tests, pytester)


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_each_call_of_another_client_has_an_equivalent(path: Path, server: LocalServer) -> None:
    namespace = names(server, path.read_text(encoding="utf-8"))
    for theirs, ours in rows(path):
        try:
            run_alone(ours, dict(namespace))
        except Exception as error:
            error.add_note(f"The row of {theirs} in {path}.")
            raise


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_guides_are_short_and_their_links_work(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0].startswith("# ")
    assert lines[2], "the summary is the paragraph after the title"
    assert guides.summary(path.stem)
    assert len(text.split()) <= MOST_WORDS
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, fragment = link.partition("#")
        assert "://" in link or (path.parent / file).is_file() or not file, link
        if fragment and "://" not in link:
            target = (path.parent / file if file else path).read_text(encoding="utf-8")
            assert fragment in [
                _slug(line) for line in re.findall(r"^#+ (.+)$", target, re.MULTILINE)
            ]


def _slug(heading: str) -> str:
    return "-".join(re.sub(r"[^\w-]", " ", heading.lower()).split())


TROUBLESHOOTING = [
    [part.strip() for part in message.split("...")]
    for topic in ("troubleshooting", "troubleshooting-batches")
    for row in re.findall(r"^\| (`.+?) \|", guides.read(topic), re.MULTILINE)
    for message in re.findall("`(.+?)`", row)
]
"""The messages that the guides on troubleshooting explain, as the texts around their gaps."""

EXPLAINED = (
    *("CheckpointError", "ConfigurationError", "FileError", "PredictionError", "StreamError"),
    *("RuntimeError", "UnexpectedRequestError", "WebhookVerificationError"),
)
"""The errors whose every message has a row in the guides."""


def raised_messages() -> Iterator[str]:
    """The texts of the messages of these errors, without what they insert.

    The command line is left out: its messages are about its own arguments.
    """
    for path in SOURCES:
        if path.relative_to(PACKAGE).parts[0] in ("cli", "local", "_runtime"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Raise(
                    exc=ast.Call(
                        func=ast.Name(id=name), args=[ast.Constant() | ast.JoinedStr(), *_]
                    )
                ) if name in EXPLAINED:
                    assert isinstance(node.exc, ast.Call)
                    parts = ast.walk(node.exc.args[0])
                    text = "".join(
                        str(each.value) for each in parts if isinstance(each, ast.Constant)
                    )
                    if re.search(r"\w+ \w+", text):  # else all of it is inserted
                        yield text


def test_the_guides_on_troubleshooting_explain_every_message() -> None:
    assert len(TROUBLESHOOTING) > 60
    texts = "".join(path.read_text(encoding="utf-8") for path in SOURCES)
    texts = re.sub(r'"\s*\n\s*f?"', "", texts)
    classes = {name for name in dashscope.__all__ if name.endswith("Error")}
    known = {*classes, "ClientDisconnectedError", "UnexpectedRequestError"}
    for parts in TROUBLESHOOTING:
        is_known = parts[0].partition(":")[0] in {*known, "AttributeError", "127.0.0.1"}
        assert is_known or all(part in texts for part in parts), parts
    messages = list(raised_messages())
    assert len(messages) > 50
    unexplained = [
        message
        for message in messages
        if not any(all(part in message for part in parts) for parts in TROUBLESHOOTING)
    ]
    assert not unexplained, "\n".join(unexplained)
    explained = {parts[0] for parts in TROUBLESHOOTING} | set(EXPLAINED)
    listed = guides.read("errors")
    assert {name for name in classes - explained if f"`{name}`" not in listed} == set()


def test_help_lists_every_guide() -> None:
    listed = re.findall(r"^    ([a-z-]+) {2,}\S", dashscope.__doc__ or "", re.MULTILINE)
    assert set(guides.titles()) <= set(listed)
    assert list(guides.titles()) == [topic for topic in listed if topic in guides.titles()]
    with pytest.raises(ValueError, match="No guide is named 'nope'. The guides are quickstart"):
        guides.read("nope")


@pytest.mark.usefixtures("_at_home")
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_of_the_docstrings_run(
    path: Path, server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (where, code) in enumerate(docstring_blocks(path)):
        folder = tmp_path / str(number)
        folder.mkdir()
        monkeypatch.chdir(folder)
        try:
            if not is_test(code):
                run_docstring(path, code, server)
        except BaseException as error:
            error.add_note(f"The example is in the docstring of {where}.")
            raise


def run_docstring(path: Path, code: str, server: LocalServer) -> None:
    """Run the example of a docstring in the current folder."""
    prepare_files()
    namespace = {**names(server, code), "record": record, "replay": replay}
    if path.stem == "replaying":
        recording = dict(docstring_blocks(path.with_stem("recording")))["recording.record"]
        run_alone(recording, namespace)
    code = code.replace(DEFAULT_BASE_URL, server.base_url)
    if "my-style" in code:
        code = code.replace("me/my-style", "local/my-style")
        namespace["version_id"] = namespace["markov_version_id"]
    if path == SYNC:
        with Client() as client:
            exec(code, {**namespace, "client": client})
    else:
        run_alone(code, namespace)
