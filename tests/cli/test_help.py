"""Every command has help with examples, and the examples run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.types import FuncParamType

from dashscope import Client
from dashscope.cli import dashscope as program
from tests.cli.conftest import RunCLI

RUN_UNTIL_STOPPED = ("dashscope serve", "dashscope webhooks listen", "dashscope mcp")
"""Other tests check these commands."""

ORDER = ("create", "update", "wait", "", "cancel", "delete")


def commands(command: click.Command = program, *path: str) -> Iterator[tuple[str, click.Command]]:
    """Return all commands, by their words."""
    yield " ".join(path), command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, *path, name)


def examples(command: click.Command) -> list[str]:
    """Return the example lines of a help text."""
    return [
        line.strip()
        for line in (command.help or "").splitlines()
        if re.match(r"\s*(\w+ \S+ \| )?dashscope ", line)
    ]


COMMANDS = [pair for pair in commands() if pair[0] != "completion"]
LEAVES = [pair for pair in COMMANDS if not isinstance(pair[1], click.Group)]


def test_each_command_has_help_with_an_example(run_cli: RunCLI) -> None:
    for path, command in COMMANDS:
        shown = run_cli(*path.split(), "--help").stdout
        assert examples(command), path
        for example in examples(command):
            assert f"dashscope {path}".strip() in example
            assert f"  {example}\n" in shown, "an example is shown in a line of its own"
        assert max(map(len, shown.splitlines())) <= 80
        assert "\\b" not in shown
    assert "Exit codes:" in run_cli("--help").stdout


def test_each_option_has_help() -> None:
    for path, command in LEAVES:
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (path, parameter.name)
                assert parameter.help.endswith("."), (path, parameter.name)
            if isinstance(parameter.type, FuncParamType):
                assert parameter.metavar, "without it, the help shows the name of our function"


def test_each_example_runs(
    run_cli: RunCLI, client: Client, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The examples run in order: later ones delete what earlier ones created."""
    Path("a.md").write_text("the cat sat on the mat and the dog sat on the log. " * 5)
    Path("README.md").write_text("# style\n")
    Path("input.json").write_text(json.dumps({"text": "Alice"}))
    Path("in.csv").write_text("text\nAlice\nBob\n")
    Path("rows.jsonl").write_text('{"text": "Alice"}\n{"text": "Bob"}\n')
    Path("a.csv").write_text("image\nphoto.png\n")
    rows = [{"text": "Alice"}, {"text": "Bob"}]
    with client.map("dashscope/hello-world", rows, checkpoint="in.sqlite") as batch:
        assert len(list(batch)) == len(rows)
    lines = sorted({line for _, command in LEAVES for line in examples(command)}, key=_rank)
    for number, line in enumerate(lines):
        if line.startswith(RUN_UNTIL_STOPPED):
            continue
        folder = shutil.copytree(photo.parent, photo.parent.parent / f"example-{number}")
        monkeypatch.chdir(folder)
        typed_line = _with_ids(line, client)
        piped, _, command = typed_line.rpartition(" | ")
        command, _, target = command.partition(" > ")
        stdin = Path(piped.removeprefix("cat ")).read_bytes() if piped else b""
        done = run_cli(command.removeprefix("dashscope "), stdin=stdin)
        assert done.code == 0, f"{line}: {done.output}"
        assert not target or done.stdout


def _rank(line: str) -> tuple[int, bool, str]:
    verb = next((verb for verb in ORDER if verb and f" {verb} " in line), "")
    # A model can only be deleted without versions.
    return ORDER.index(verb), "models delete" in line, line


def _with_ids(line: str, client: Client) -> str:
    """Replace the ids in an example by real ones."""
    if "PREDICTION_ID" in line:
        return line.replace("PREDICTION_ID", client.predictions.list()[0].id)
    if "TRAINING_ID" in line:
        return line.replace("TRAINING_ID", client.trainings.list()[0].id)
    if "FILE_ID" in line:
        return line.replace("FILE_ID", client.files.list()[0].id)
    if "VERSION_ID" in line:
        model = re.search(r"(\w+)/([\w-]+):VERSION_ID", line)
        assert model is not None
        version = client.models.versions.list(*model.groups())[0]
        return line.replace("VERSION_ID", version.id)
    return line


def test_completion_scripts_are_printed(run_cli: RunCLI) -> None:
    for shell in ("bash", "zsh", "fish"):
        done = run_cli(f"completion {shell}")
        assert done.code == 0
        assert f"_DASHSCOPE_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize(
    ("words", "complete"),
    [
        ("dashscope pre", ["predictions"]),
        ("dashscope models re", ["readme"]),
        ("dashscope models list --sort-direction ", ["asc", "desc"]),
        ("dashscope completion ", ["bash", "zsh", "fish"]),
        ("dashscope run a/b image=@ph", ["image=@photo.png"]),
        ("dashscope run a/b image =@ ph", ["@photo.png"]),  # split like bash does
        ("dashscope run a/b image =@", ["@photo.png", "@pictures/"]),
        ("dashscope run a/b image=@pictures/", ["image=@pictures/small/", "image=@pictures/z.png"]),
    ],
)
def test_commands_choices_and_input_files_are_completed(
    run_cli: RunCLI,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    complete: list[str],
) -> None:
    Path("pictures/small").mkdir(parents=True)
    Path("pictures/z.png").touch()
    Path("pictures/.hidden").touch()
    typed_words = words.split(" ")
    monkeypatch.setenv("_DASHSCOPE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "\n".join(typed_words))
    monkeypatch.setenv("COMP_CWORD", str(len(typed_words) - 1))
    assert [line.partition(",")[2] for line in run_cli("").stdout.splitlines()] == complete


@pytest.mark.parametrize(
    "words",
    [
        "dashscope run a/b image=",
        "dashscope run a/b --input ",
        "dashscope run a/b -o ",
        "dashscope batch a/b ",
        "dashscope batch a/b rows.csv -o ",
        "dashscope batch a/b rows.csv --checkpoint ",
        "dashscope files create ",
        "dashscope models update a/b --readme ",
        "dashscope serve ",
    ],
)
def test_file_arguments_are_completed_by_the_shell(
    run_cli: RunCLI, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    monkeypatch.setenv("_DASHSCOPE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert run_cli("").stdout.startswith("file,")
