"""`dashscope batch --checkpoint`: the same command resumes and writes each result once."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dashscope import BatchResult, Client
from dashscope.cli.results import count_results, results
from dashscope.local import LocalServer
from tests.cli.command import CommandLine
from tests.cli.conftest import RunCLI
from tests.cli.process import Program
from tests.cli.test_batch import lines, write
from tests.client.tags import wait_until_running
from tests.waiting import wait_until

COMMAND = ("batch", "test/slow", "rows.jsonl", "-o", "out.jsonl", "--checkpoint", "run.sqlite")


def created(server: LocalServer, since: int) -> int:
    """Return the number of created predictions."""
    return sum(
        request.method == "POST" and request.path.endswith("/predictions")
        for request in server.requests[since:]
    )


def started(dashscope: CommandLine, count: int, **slow: Any) -> Program:
    """Run a batch until all rows but the last, slow one are finished."""
    rows = [{"seconds": 0, "tag": str(number)} for number in range(count)] + [slow]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (dashscope.folder / "rows.jsonl").write_text(text)
    program = dashscope.start(*COMMAND)
    out = dashscope.folder / "out.jsonl"
    wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") == count)
    return program


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.soak)]
)
def test_the_same_command_resumes_and_writes_each_row_once(
    dashscope: CommandLine, server: LocalServer, client: Client, number: signal.Signals
) -> None:
    before = len(server.requests)
    program = started(dashscope, 5, seconds=2, tag=f"resumed-{number.name}")
    id = wait_until_running(client, f"resumed-{number.name}")
    program.send(number)
    stopped = program.finish()
    if number == signal.SIGINT:
        assert stopped.code == 130
        assert stopped.stderr == (
            "Interrupted.\n"
            "5 rows finished. Results are in out.jsonl.\n"
            "To resume, run the same command again.\n"
            f"Canceled prediction {id}.\n"
        )
    done = dashscope(*COMMAND)
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr.startswith("6 rows (5 from the checkpoint): 6 done, 0 failed, ")
    results = lines(str(dashscope.folder / "out.jsonl"))
    assert sorted(row["index"] for row in results) == list(range(6))
    # After a kill, predictions keep running. Predictions that Ctrl-C canceled are recreated.
    assert created(server, before) == (7 if number == signal.SIGINT else 6)


def test_a_checkpoint_in_use_is_rejected(
    dashscope: CommandLine,
) -> None:
    program = started(dashscope, 2, seconds=30, tag="held")
    out = dashscope.folder / "out.jsonl"
    held = out.read_bytes()
    second = dashscope(*COMMAND)
    assert (second.code, second.stdout) == (1, "")
    assert "run.sqlite" in second.stderr
    assert "in use" in second.stderr
    assert out.read_bytes() == held
    program.send(signal.SIGINT)
    assert program.finish().code == 130


def test_a_file_that_is_not_a_batch_result_is_not_overwritten(run_cli: RunCLI) -> None:
    write("rows.jsonl", {"value": 1})
    command = "batch test/echo rows.jsonl --checkpoint run.sqlite"
    assert run_cli(f"{command} -o out.jsonl").code == 0
    for name in ("precious.jsonl", "precious.csv", "precious.parquet"):
        Path(name).write_text('{"precious": true}\n')
        refused = run_cli(f"{command} -o {name}")
        assert (refused.code, refused.stdout) == (1, "")
        assert (
            f"{name} does not contain results of a batch. To replace it, pass --overwrite"
            in refused.stderr
        )
        assert Path(name).read_text() == '{"precious": true}\n'
    for name in ("out.csv", "out.parquet", "out.jsonl"):
        for _ in range(2):
            assert run_cli(f"{command} -o {name}").code == 0


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_changed_rows_are_reported_and_results_are_kept(run_cli: RunCLI, name: str) -> None:
    write("rows.jsonl", {"value": 1}, {"message": 2}, {"value": "3\n4"})
    command = f"batch test/echo rows.jsonl -o {name} --checkpoint run.sqlite"
    assert run_cli(command).code == 5
    files = (name, "out.failures.jsonl")
    before = [Path(file).read_bytes() for file in files]
    write("rows.jsonl", {"value": 1}, {"message": 2}, {"value": 5})
    done = run_cli(command)
    assert done.code == 1
    assert "have changed" in done.stderr
    assert "index 2" in done.stderr
    assert done.stderr.endswith(f"\n{name} is unchanged.\n")
    assert [Path(file).read_bytes() for file in files] == before
    assert not list(Path().glob(".*.part"))


def test_missing_rows_are_reported(run_cli: RunCLI) -> None:
    write("rows.jsonl", {"value": 1}, {"value": 2}, {"value": 3})
    command = "batch test/echo rows.jsonl -o out.jsonl --checkpoint run.sqlite"
    assert run_cli(command).code == 0
    write("rows.jsonl", {"value": 1})
    done = run_cli(command)
    assert done.code == 0
    assert "warning: run.sqlite has 3 rows, but the inputs end after 1" in done.stderr
    assert [row["index"] for row in lines("out.jsonl")] == [0]


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_earlier_results_are_kept_until_as_many_are_written(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    def write_some(count: int, *, kept: int, end: Exception | None = None) -> None:
        with suppress(EOFError), results(str(path), kept=kept) as target:
            for index in range(count):
                target.write(BatchResult(index=index, input={}))
            if end is not None:
                raise end

    write_some(3, kept=0)
    assert count_results(path) == 3
    write_some(2, kept=3, end=EOFError())
    assert count_results(path) == 3, "fewer, and not to the end"
    write_some(4, kept=3, end=EOFError())
    assert count_results(path) == 4, "more"
    write_some(2, kept=4)
    assert count_results(path) == 2, "fewer, and to the end"
    assert [item.name for item in tmp_path.iterdir()] == [name]


def test_an_invalid_checkpoint_is_reported(run_cli: RunCLI) -> None:
    write("rows.jsonl", {"value": 1})
    Path("run.sqlite").write_text("precious" * 200)
    done = run_cli("batch test/echo rows.jsonl -o out.jsonl --checkpoint run.sqlite")
    assert (done.code, done.stdout) == (1, "")
    assert "run.sqlite" in done.stderr
    assert Path("run.sqlite").read_text() == "precious" * 200
    assert not Path("out.jsonl").exists()


def test_with_a_checkpoint_no_temporary_server_is_started(
    run_cli: RunCLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DASHSCOPE_BASE_URL")
    monkeypatch.setattr("dashscope._config.DEFAULT_BASE_URL", "http://127.0.0.1:9/v1")
    write("rows.jsonl", {"value": 1})
    done = run_cli("batch test/echo rows.jsonl --checkpoint run.sqlite")
    assert done.code == 1
    assert "dashscope serve" in done.stderr
    assert not Path("run.sqlite").exists()
