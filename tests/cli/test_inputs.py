"""`KEY=VALUE` inputs: values by the schema, files with `@`, and errors."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path

import pytest

from dashscope import Client
from dashscope.local import LocalServer
from tests.cli.command import CommandLine
from tests.cli.conftest import RunCLI
from tests.variants import variants


def test_a_value_is_converted_by_the_schema(dashscope: CommandLine) -> None:
    pairs = ["whole=42", "real=2", "flag=false", "items=[1,2]", "choice=2", "anything=[null]"]
    done = dashscope("run", "test/kinds", *pairs, "--json")
    assert json.loads(done.stdout) == {
        "whole": 42,
        "real": 2,
        "flag": False,
        "items": [1, 2],
        "choice": "2",
        "anything": [None],
    }


def test_text_inputs_stay_text(dashscope: CommandLine) -> None:
    texts = ["42", "true", "null", '{"a":1}', "a=b", " spaces ", "NaN", "-1e5"]
    pairs = [f"text{number}={text}" for number, text in enumerate(texts)]
    done = dashscope("run", "test/texts", *pairs, "--json")
    assert json.loads(done.stdout) == texts


def test_text_keeps_quotation_marks(run_cli: RunCLI) -> None:
    done = run_cli("""run test/texts 'text0="quoted"' --json""")
    assert json.loads(done.stdout) == ['"quoted"']


def test_optional_text_stays_text(run_cli: RunCLI) -> None:
    done = run_cli("run test/kinds text=42 --json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout) == {"text": "42"}


def test_two_at_signs_escape_one(run_cli: RunCLI) -> None:
    done = run_cli("run test/texts text0=@@alice text1=@@@ text2=a@b --json")
    assert json.loads(done.stdout) == ["@alice", "@@", "a@b"]


def test_stdin_can_be_a_file_input(run_cli: RunCLI, photo: Path) -> None:
    done = run_cli("run test/measure document=@- --json", stdin=photo.read_bytes())
    assert json.loads(done.stdout)["size"] == photo.stat().st_size


CLOSED_STDIN = """
import os, sys
os.close(0)
sys.stdin = None  # what Python does if it starts without stdin
from dashscope.__main__ import main
main()
"""


def test_a_closed_stdin_is_an_empty_file(dashscope: CommandLine) -> None:
    program = dashscope.start_python(
        "-c", CLOSED_STDIN, *("run", "test/texts", "text0=@-"), forked=True
    )
    for line, message in (
        ("run test/texts text0=@-", "stdin is empty"),
        ("run test/texts --input -", "stdin is not JSON"),
        ("batch test/texts -", "There are no rows"),
    ):
        assert message in dashscope(line).stderr
    assert "stdin is empty" in program.finish().stderr


@pytest.mark.soak
def test_without_a_type_a_value_is_json_or_text(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/kinds", 'anything={"a":[1,true]}', "--json")
    assert json.loads(done.stdout) == {"anything": {"a": [1, True]}}


def test_an_empty_value_is_empty_text(dashscope: CommandLine) -> None:
    assert dashscope("run", "dashscope/hello-world", "text=").stdout == "hello \n"


def test_text_inputs_need_no_schema(dashscope: CommandLine, server: LocalServer) -> None:
    before = len(server.requests)
    dashscope("run", "dashscope/hello-world", "text=Alice")
    paths = [request.path for request in server.requests[before:]]
    assert "/v1/models/dashscope/hello-world" not in paths


@pytest.mark.parametrize("size", [10, pytest.param(400_000, marks=pytest.mark.soak)])
def test_files_of_any_size_are_sent_completely(
    dashscope: CommandLine, client: Client, server: LocalServer, size: int
) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    (dashscope.folder / "some data.bin").write_bytes(content)
    before = len(server.requests)
    done = dashscope("run", "test/measure", "document=@some data.bin", "--json")
    assert json.loads(done.stdout) == {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "suffix": ".bin",
    }
    requested = [
        (request.method, request.path, request.status) for request in server.requests[before:]
    ]
    posted = [received for received in requested if received[0] == "POST"]
    assert posted[0] == ("POST", "/v1/files", 201)
    newest = client.files.list()[0]
    assert (newest.name, newest.size) == ("some data.bin", len(content))


@pytest.mark.soak
def test_a_file_may_be_given_by_an_absolute_path(dashscope: CommandLine, tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.txt"
    path.write_text("12345")
    done = dashscope("run", "test/measure", f"document=@{path}", "--json")
    assert json.loads(done.stdout)["size"] == 5


def test_a_missing_file_is_reported_before_a_request(
    dashscope: CommandLine, server: LocalServer
) -> None:
    before = len(server.requests)
    done = dashscope("run", "test/measure", "document=@photo.pgn")
    assert (done.code, done.stdout) == (1, "")
    assert "photo.pgn" in done.stderr
    assert "No such file" in done.stderr
    assert not [r for r in server.requests[before:] if r.method == "POST"]


def test_a_folder_is_not_a_file(dashscope: CommandLine, server: LocalServer) -> None:
    (dashscope.folder / "photos").mkdir()
    before = len(server.requests)
    done = dashscope("run", "test/measure", "document=@photos")
    assert (done.code, done.stdout) == (1, "")
    assert "photos" in done.stderr
    assert "directory" in done.stderr
    assert not [r for r in server.requests[before:] if r.method == "POST"]


@variants(
    ("arguments", "code", "message"),
    [
        (["hello-world"], 2, "owner/name or owner/name:version"),
        (["test/echo", "value=1", "value=2"], 2, "value is given 2 times"),
        (["test/echo", "value"], 2, "'value' is not KEY=VALUE"),
        (["test/measure", "document=@photo.pgn"], 1, "document=@photo.pgn: No such file"),
        (["test/echo", "--input", "nothing.json"], 2, "nothing.json: No such file"),
        (["test/echo", "value=1", "-o", "mine.txt"], 1, "--overwrite"),
        (["test/echo", "value=1", "-o", "mine.txt/deeper"], 1, "mine.txt is not a folder"),
    ],
)
def test_invalid_arguments_are_rejected_before_a_server_starts(
    run_cli: RunCLI, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.setattr(
        "dashscope.cli.session._needs_local_server", lambda: pytest.fail("too late")
    )
    Path("mine.txt").write_text("precious")
    done = run_cli(shlex.join(["run", *arguments]))
    assert (done.code, done.stdout) == (code, "")
    assert message in " ".join(done.stderr.split())


def test_a_repeated_file_is_a_list_of_files(dashscope: CommandLine, server: LocalServer) -> None:
    for name in "abc":
        (dashscope.folder / name).write_text(name * (ord(name) - 96))
    for pairs, sizes in (
        (["documents=@a", "documents=@b"], [1, 2]),
        (["documents=@c"], [3]),  # the schema says that it is a list
        (["documents=@a", "documents=data:,hello", "title=t"], [1, 5]),
    ):
        done = dashscope("run", "test/files", *pairs, "--json")
        assert json.loads(done.stdout)["sizes"] == sizes
    done = dashscope("run", "test/files", "documents=@-", "documents=@b", "--json", stdin=b"four")
    assert json.loads(done.stdout)["sizes"] == [4, 2]
    before = len(server.requests)
    refused = dashscope("run", "test/measure", "document=@a", "document=@b")
    assert (refused.code, refused.stdout) == (2, "")
    assert "document is given 2 times, but it is not a list" in refused.stderr
    assert not [r for r in server.requests[before:] if r.method == "POST"]
    rows = [{"documents": ["a", "b"]}, {"documents": ["c"]}]
    (dashscope.folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    batch = dashscope("batch", "test/files", "rows.jsonl", "--file", "documents", "--ordered")
    outputs = [json.loads(line)["output"]["sizes"] for line in batch.stdout.splitlines()]
    assert outputs == [[1, 2], [3]]


def test_a_missing_or_unneeded_at_sign_gets_a_hint(
    dashscope: CommandLine, server: LocalServer
) -> None:
    (dashscope.folder / "README").write_text("a")
    before = len(server.requests)
    for argument, hint in (
        ("document=x.png", "To send the file x.png, write document=@x.png"),
        ("document=deep/x.tar.gz", "write document=@deep/x.tar.gz"),
        ("document=README", "write document=@README"),
        ("document=C:\\x.png", "write document=@C:\\x.png"),
        ("document=@someone", "For text that starts with @, write document=@@someone"),
    ):
        done = dashscope("run", "test/measure", argument)
        assert (done.code, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: {argument}")
        assert hint in done.stderr
    assert not [r for r in server.requests[before:] if r.method == "POST"]
    # A file name is valid text for a text input.
    assert dashscope("run", "test/texts", "text0=x.png").stdout == "x.png\n"
    (dashscope.folder / "rows.csv").write_text("document\nREADME\n")
    batch = dashscope("batch", "test/measure", "rows.csv")
    assert "document takes a file or a URL: to send files, add --file=document." in batch.stderr


@variants("pair", ["text", "=Alice"])
def test_an_input_without_a_key_is_a_usage_error(dashscope: CommandLine, pair: str) -> None:
    done = dashscope("run", "dashscope/hello-world", pair)
    assert (done.code, done.stdout) == (2, "")
    assert f"{pair!r} is not KEY=VALUE" in done.stderr


def test_a_repeated_key_is_a_usage_error(dashscope: CommandLine, server: LocalServer) -> None:
    before = len(server.requests)
    done = dashscope("run", "dashscope/hello-world", "text=Alice", "text=Bob")
    assert (done.code, done.stdout) == (2, "")
    assert "text is given 2 times" in done.stderr
    assert server.requests[before:] == []


@variants(
    "arguments",
    [
        ["run"],
        ["run", "test/echo", "--timeout", "0"],
        ["serve", "no-such-file.py"],
    ],
)
def test_a_usage_error_explains_how_to_get_help(
    dashscope: CommandLine, arguments: list[str]
) -> None:
    done = dashscope(*arguments)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ")
    assert "--help" in done.stderr


@variants(
    ("arguments", "message"),
    [
        (["test/nothing", "a=1"], "test/nothing"),
        (["test/echo:0123456789abcdef", "value=1"], "0123456789abcdef"),
        (["dashscope/hello-world"], "input.text is required"),
        (["test/slow", "seconds=long"], "input.seconds"),
        (["test/kinds", "color=red"], "color"),
    ],
)
def test_a_rejection_of_the_server_is_printed(
    dashscope: CommandLine, arguments: list[str], message: str
) -> None:
    done = dashscope("run", *arguments)
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
