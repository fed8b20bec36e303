"""The commands for the resources of the API, and their output as text and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import pytest

from dashscope import Client, guides
from dashscope.cli import resources
from dashscope.cli.operations import Operation
from dashscope.local import LocalServer
from tests.cli.conftest import RunCLI
from tests.variants import variants

OPERATIONS = [
    operation
    for table in vars(resources).values()
    if isinstance(table, tuple)
    for operation in table
    if isinstance(operation, Operation)
] + [resources.ACCOUNT, resources.SEARCH, resources.SECRET, resources.HARDWARE_LIST]


@pytest.fixture
def prediction(client: Client) -> str:
    created = client.models.predictions.create(
        "dashscope", "hello-world", input={"text": "Al"}, wait=10
    )
    return created.id


@pytest.fixture
def style(client: Client) -> Iterator[str]:
    """A private model."""
    client.models.create("local", "style", visibility="private", hardware="cpu")
    yield "local/style"
    for version in client.models.versions.list("local", "style"):
        client.models.versions.delete("local", "style", version.id)
    client.models.delete("local", "style")


@pytest.fixture
def app(client: Client) -> Iterator[str]:
    """A deployment."""
    version = client.models.get("test", "kinds").latest_version
    assert version is not None
    client.deployments.create(
        name="app",
        model="test/kinds",
        version=version.id,
        hardware="cpu",
        min_instances=0,
        max_instances=1,
    )
    yield "local/app"
    client.deployments.delete("local", "app")


def test_every_command_calls_an_operation_of_the_client(client: Client) -> None:
    for operation in OPERATIONS:
        assert callable(attrgetter(operation.method)(client)), operation.method


@variants(
    ("line", "cells"),
    [
        ("models list --limit all", ["dashscope/hello-world", "Says hello to someone."]),
        ("models search hello", ["dashscope/hello-world"]),
        ("models examples test/echo", ['{"value": "a"}', "a"]),
        ("versions list dashscope/markov", ["0.16.0"]),
        ("collections list", ["text", "Text models"]),
        ("hardware list", ["cpu"]),
        ("search hello", ["dashscope/hello-world"]),
    ],
)
def test_a_list_prints_one_line_per_item(run_cli: RunCLI, line: str, cells: list[str]) -> None:
    done = run_cli(line)
    assert (done.code, done.stderr) == (0, "")
    rows = [row.split("\t") for row in done.stdout.splitlines()]
    assert any(set(cells) <= set(row) for row in rows) or cells[0] in done.stdout
    assert "\x1b" not in done.stdout


@variants(
    ("line", "lines"),
    [
        ("account", ["username\tlocal"]),
        (
            "models get dashscope/thumbnail",
            [
                "name\tthumbnail",
                "inputs.image\tstring, required: The image, in any format that Pillow reads.",
                "inputs.width\tinteger, default: 128: The width of the result in pixels.",
            ],
        ),
        ("collections get tests", ["name\tTests", "models\ttest/echo"]),
        ("models readme test/echo", ["# echo"]),
    ],
)
def test_an_object_prints_one_line_per_field(run_cli: RunCLI, line: str, lines: list[str]) -> None:
    done = run_cli(line)
    assert (done.code, done.stderr) == (0, "")
    assert set(lines) <= set(done.stdout.splitlines())


@variants(
    ("line", "key"),
    [
        ("models list --limit 3", "owner"),
        ("models get test/echo", "latest_version"),
        ("models readme test/echo", "readme"),
        ("account", "username"),
        ("hardware list", "sku"),
        ("collections get tests", "models"),
        ("search hello", "models"),
    ],
)
def test_json_prints_the_received_objects_one_per_line(
    run_cli: RunCLI, line: str, key: str
) -> None:
    done = run_cli(f"{line} --json -q")
    assert (done.code, done.stderr) == (0, "")
    for text in done.stdout.splitlines():
        assert key in json.loads(text)


def test_a_list_with_more_pages_prints_a_hint(run_cli: RunCLI) -> None:
    done = run_cli("models list --limit 2")
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "Showing the first 2. To show all, pass --limit all.\n"
    assert run_cli("models list --limit 2 -q").stderr == ""
    assert "neither a number of items nor all" in run_cli("models list --limit 0").stderr


def test_predictions_can_be_created_waited_for_listed_and_canceled(run_cli: RunCLI) -> None:
    created = json.loads(run_cli("predictions create test/slow seconds=60 tag=7 --json").stdout)
    assert created["input"] == {"seconds": 60, "tag": "7"}
    listed = run_cli("predictions list --limit 1 --created-after 2026-01-01T00:00:00Z").stdout
    assert listed.startswith(created["id"])
    assert run_cli(f"predictions wait {created['id']} --timeout 0.1").code == 1
    canceled = run_cli(f"predictions cancel {created['id']}")
    assert "status\tcanceled" in canceled.stdout
    waited = run_cli(f"predictions wait {created['id']} --json")
    assert waited.code == 1
    assert json.loads(waited.stdout)["status"] == "canceled"
    assert waited.stderr == f"Did not succeed: {created['id']} (canceled).\n"


def test_a_version_can_be_run(run_cli: RunCLI, client: Client) -> None:
    version = client.models.get("test", "echo").latest_version
    assert version is not None
    done = run_cli(f"predictions create test/echo:{version.id} value=1 --wait 10 --json")
    assert json.loads(done.stdout)["output"] == 1
    shown = run_cli(f"versions get test/echo:{version.id}").stdout
    assert "inputs.value\tanything: Any JSON." in shown
    assert "OWNER/NAME:VERSION" in run_cli("versions get test/echo").stderr


def test_wait_accepts_several_predictions(run_cli: RunCLI, prediction: str) -> None:
    done = run_cli(f"predictions wait {prediction} {prediction} --json")
    assert done.code == 0
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [prediction] * 2


def test_models_can_be_described_and_trained(run_cli: RunCLI, style: str) -> None:
    Path("README.md").write_text("# style\n")
    updated = run_cli(f"models update {style} --description 'Mine.' --readme README.md")
    assert "description\tMine." in updated.stdout
    assert run_cli(f"models readme {style}").stdout == "# style\n"
    Path("book.txt").write_text("the cat sat on the mat and the dog sat on the log. " * 5)
    created = run_cli(
        f"trainings create dashscope/markov text=@book.txt --destination {style} --json"
    )
    training = json.loads(created.stdout)["id"]
    waited = run_cli(f"trainings wait {training} --logs")
    assert waited.code == 0
    assert f"output.version\t{style}:" in waited.stdout
    assert "Learned" in waited.stderr
    assert run_cli("trainings list --limit 1").stdout.startswith(training)
    version = run_cli(f"versions list {style}").stdout.split("\t")[0]
    deleted = run_cli(f"versions delete {style}:{version} --json")
    assert json.loads(deleted.stdout) == {"deleted": f"{style}/{version}"}


def test_a_deployment_uses_the_schema_of_its_model(run_cli: RunCLI, app: str) -> None:
    done = run_cli(f"deployments run {app} whole=3 text=4 --json")
    assert json.loads(done.stdout) == {"whole": 3, "text": "4"}
    updated = run_cli(f"deployments update {app} --max-instances 3 --json")
    assert json.loads(updated.stdout)["current_release"]["number"] == 2
    assert run_cli("deployments list").stdout.startswith(f"{app}\ttest/kinds\tcpu")


def test_a_failed_deployment_run_is_an_error(run_cli: RunCLI) -> None:
    made = run_cli("deployments create failing test/fail --hardware cpu")
    assert "current_release.configuration.max_instances\t1" in made.stdout
    done = run_cli("deployments run local/failing message=no")
    run_cli("deployments delete local/failing")
    assert (done.code, done.stdout) == (1, "")
    assert "about to fail" in done.stderr
    assert "local/failing failed (prediction " in done.stderr


def test_output_files_of_a_deployment_are_saved(run_cli: RunCLI) -> None:
    run_cli("deployments create filing test/file --hardware cpu")
    done = run_cli("deployments run local/filing content=hello -o out/")
    run_cli("deployments delete local/filing")
    assert done.stdout == "out/result.txt\n"
    assert Path("out/result.txt").read_text() == "hello"


def test_files_can_be_uploaded_and_downloaded(run_cli: RunCLI, photo: Path) -> None:
    created = json.loads(run_cli("files create photo.png --filename holiday.png --json").stdout)
    id = created["id"]
    assert run_cli(f"files get {id}").stdout.splitlines()[1] == "name\tholiday.png"
    assert run_cli(f"files download {id} -o copies/").stdout == "copies/holiday.png\n"
    assert Path("copies/holiday.png").read_bytes() == photo.read_bytes()
    again = run_cli(f"files download {id} -o copies/holiday.png")
    assert (again.code, again.stdout) == (1, "")
    assert "--overwrite" in again.stderr
    assert json.loads(run_cli(f"files download {id} --json").stdout) == "holiday.png"
    assert run_cli(f"files delete {id} -q").output == ""
    assert id in run_cli(f"files get {id}").stderr


@variants(
    ("line", "message"),
    [
        ("models get test/nothing", "test/nothing"),
        ("predictions get nothing", "nothing"),
        ("files create nothing.png", "nothing.png: No such file"),
        ("models delete test/echo", "public"),
        ("search ' '", "query must not be blank, but is ' '"),
    ],
)
def test_an_error_is_one_sentence(run_cli: RunCLI, line: str, message: str) -> None:
    done = run_cli(line)
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_a_server_the_error_explains_how_to_start_one(
    run_cli: RunCLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DASHSCOPE_BASE_URL")
    monkeypatch.setattr("dashscope._config.DEFAULT_BASE_URL", "http://127.0.0.1:9/v1")
    done = run_cli("predictions list")
    assert done.code == 1
    assert "dashscope serve" in done.stderr


def test_arguments_override_the_input_file(run_cli: RunCLI) -> None:
    Path("input.json").write_text('{"text": "a", "whole": 3}')
    done = run_cli("run test/kinds --input input.json text=b --json")
    assert json.loads(done.stdout) == {"text": "b", "whole": 3}
    piped = run_cli("run test/kinds --input - --json", stdin=b'{"real": 0.5}')
    assert json.loads(piped.stdout) == {"real": 0.5}


@variants(
    ("content", "message"),
    [
        (b"[1]", "stdin is a JSON array, not an object"),
        (b"{", "stdin is not JSON"),
        (b"\xff", "stdin is not JSON"),
        (b"", "stdin is not JSON"),
    ],
)
def test_an_input_must_be_an_object(run_cli: RunCLI, content: bytes, message: str) -> None:
    done = run_cli("run test/kinds --input -", stdin=content)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr


def test_stdin_can_be_used_once(run_cli: RunCLI) -> None:
    done = run_cli("run test/kinds --input - text=@-", stdin=b"{}")
    assert (done.code, done.stdout) == (1, "")
    assert "text=@-: stdin is empty" in done.stderr
    assert "stdin can be read only once" in run_cli("run test/kinds a=@- b=@-", stdin=b"x").stderr
    assert "stdin can be read only once" in run_cli("batch test/kinds - a=@-", stdin=b"x").stderr


def test_a_stream_prints_text_or_events(run_cli: RunCLI) -> None:
    done = run_cli("stream dashscope/countdown start=2 delay=0 --logs")
    assert done.stdout == "2\n1\n0\n"
    assert "Counting down from 2" in done.stderr
    events = [json.loads(line) for line in run_cli("stream test/words --json").stdout.splitlines()]
    text = "".join(event["data"] for event in events if event["event"] == "output")
    assert text == "word1 word2 word3 "
    assert events[-1]["event"] == "done"
    assert run_cli("stream test/words").stdout == "word1 word2 word3 \n"
    assert "does not stream" in run_cli("stream test/echo value=1").stderr


def test_reads_send_one_request(run_cli: RunCLI, server: LocalServer) -> None:
    before = len(server.requests)
    run_cli("models get test/echo")
    assert len(server.requests) == before + 1


def test_docs_prints_the_guides(run_cli: RunCLI, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "quickstart  " in run_cli("docs").stdout
    text = run_cli("docs quickstart").stdout
    assert text == guides.read("quickstart")
    (line,) = run_cli("docs quickstart --json").stdout.splitlines()
    assert json.loads(line) == {"topic": "quickstart", "title": "Quickstart", "text": text}
    refused = run_cli("docs nope")
    assert refused.code == 2
    assert "'quickstart'" in refused.stderr
    monkeypatch.setattr("dashscope.cli.terminal.Terminal.is_for_people", True)
    shown = run_cli("docs quickstart").stdout
    assert "dashscope run dashscope/hello-world" in shown
    assert "```" not in shown
