"""`dashscope batch`: formats of inputs and results, summaries and errors."""

from __future__ import annotations

import csv
import json
import os
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashscope import Client
from dashscope._common.installing import install_command
from dashscope.local import LocalServer
from tests.cli.command import CommandLine
from tests.cli.conftest import RunCLI
from tests.cli.terminal import Terminal
from tests.client.tags import status_of, wait_until_running
from tests.variants import variants
from tests.waiting import wait_until


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def write(path: str, *rows: dict[str, Any]) -> None:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def test_each_row_has_a_result_and_the_summary_shows_the_counts(run_cli: RunCLI) -> None:
    write("rows.jsonl", *({"text": f"N{number}"} for number in range(20)))
    done = run_cli("batch dashscope/hello-world rows.jsonl -o results.jsonl --concurrency 8")
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr.startswith("20 rows: 20 done, 0 failed, in ")
    assert done.stderr.endswith(" predict seconds.\n")
    results = sorted(lines("results.jsonl"), key=lambda item: item["index"])
    assert [row["output"] for row in results] == [f"hello N{number}" for number in range(20)]
    assert results[3]["input"] == {"text": "N3"}
    assert results[3]["status"] == "succeeded"
    assert results[3]["error"] is None
    assert len({row["prediction"] for row in results}) == 20
    assert not Path("results.failures.jsonl").exists()


def test_without_o_results_are_printed_on_stdout(run_cli: RunCLI) -> None:
    rows = b'{"value": 1}\n\n{"value": [2]}\n{"value": null}'
    done = run_cli("batch test/echo - --ordered -q", stdin=rows)
    assert (done.code, done.stderr) == (0, "")
    outputs = [json.loads(line)["output"] for line in done.stdout.splitlines()]
    assert outputs == [1, [2], None]


def test_json_prints_the_summary_if_results_go_to_a_file(run_cli: RunCLI) -> None:
    write("rows.jsonl", {"value": 1})
    done = run_cli("batch test/echo rows.jsonl -o results.jsonl --json -q")
    summary = json.loads(done.stdout)
    assert (summary["done"], summary["failed"], summary["results"]) == (1, 0, "results.jsonl")
    assert summary["predict_seconds"] > 0
    assert summary["failures"] is None


def test_failed_rows_can_be_used_as_input(run_cli: RunCLI, photo: Path) -> None:
    Path("photos.csv").write_text(f"image,width\n{photo.name},wide\n{photo.name},20\n")
    command = "batch dashscope/thumbnail photos.csv --file image -o out.jsonl"
    done = run_cli(command)
    assert done.code == 5
    assert "2 rows: 1 done, 1 failed" in done.stderr
    again = "dashscope batch dashscope/thumbnail out.failures.jsonl --file=image"
    assert done.stderr.endswith(f"  {again}\n")
    assert lines("out.failures.jsonl") == [{"image": photo.name, "width": "wide"}]
    failed = next(row for row in lines("out.jsonl") if row["status"] == "failed")
    assert "width" in failed["error"]
    assert failed["prediction"] is None
    write("out.failures.jsonl", {"image": photo.name, "width": 30})
    done = run_cli(again.removeprefix("dashscope ") + " -o again.jsonl")
    assert done.code == 0
    assert lines("again.jsonl")[0]["input"] == {"image": photo.name, "width": 30}


def test_a_failed_row_contains_its_prediction(run_cli: RunCLI) -> None:
    write("rows.jsonl", {"message": "no"})
    assert run_cli("batch test/fail rows.jsonl -o out.jsonl --failures bad.jsonl").code == 5
    (result,) = lines("out.jsonl")
    assert result["prediction"] in result["error"]
    assert lines("bad.jsonl") == [{"message": "no"}]


def test_csv_cells_are_converted_by_the_schema(run_cli: RunCLI) -> None:
    Path("rows.csv").write_text(
        '\ufefftext,whole,flag,items\n42,3,TRUE,\n"a,\nb",,,"[1, 2]"\n\n', "utf-8"
    )
    run_cli("batch test/kinds rows.csv -o out.jsonl --ordered real=2 text=unused")
    assert [row["output"] for row in lines("out.jsonl")] == [
        {"text": "42", "whole": 3, "real": 2, "flag": True},
        {"text": "a,\nb", "real": 2, "items": [1, 2]},
    ]


def test_a_float_without_a_fraction_is_an_integer(run_cli: RunCLI) -> None:
    """Data frames write integers as 3.0 if a column has missing values."""
    Path("rows.csv").write_text("whole,real,text\n3.0,2.0,1.0\n")
    pq.write_table(pa.table({"whole": [3.0], "real": [2.0], "text": ["1.0"]}), "rows.parquet")
    write("rows.jsonl", {"whole": 3.0, "real": 2.0, "text": "1.0"})
    for name in ("rows.csv", "rows.parquet", "rows.jsonl"):
        done = run_cli(f"batch test/kinds {name}")
        assert done.code == 0, done.stdout
        result = json.loads(done.stdout)
        assert result["output"] == {"whole": 3, "real": 2, "text": "1.0"}
        assert str(result["input"]["whole"]) == "3"


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.parquet"])
def test_the_folder_of_the_results_is_created(run_cli: RunCLI, name: str) -> None:
    write("rows.jsonl", {"value": 1}, {"no": 1})
    assert run_cli(f"batch test/echo rows.jsonl -o new/folder/{name}").code == 5
    made = sorted(path.name for path in Path("new/folder").iterdir())
    assert made == sorted([name, "out.failures.jsonl"])


def test_a_broken_pipe_ends_the_batch(dashscope: CommandLine, client: Client) -> None:
    rows = [{"seconds": 0}, {"seconds": 60, "tag": "gone-reader"}]
    (dashscope.folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    unreachable_url, end = os.pipe()
    os.close(unreachable_url)
    try:
        done = dashscope.start("batch", "test/slow", "rows.jsonl", stdout=end).finish()
    finally:
        os.close(end)
    assert (done.code, done.stderr) == (1, "")
    assert status_of(client, "gone-reader") == "canceled"


def test_the_extension_csv_writes_csv(run_cli: RunCLI) -> None:
    write("rows.jsonl", {"value": "Ζωή, α"}, {"value": {"a": True}}, {"value": True}, {"no": 1})
    run_cli("batch test/echo rows.jsonl -o out.csv --ordered")
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["output"] for row in rows] == ["Ζωή, α", '{"a": true}', "true", ""]
    assert [row["status"] for row in rows] == ["succeeded"] * 3 + ["failed"]
    assert rows[0]["value"] == "Ζωή, α"
    assert float(rows[0]["predict_time"]) > 0


def test_a_table_of_results_has_the_columns_of_the_input(run_cli: RunCLI, client: Client) -> None:
    ours = ["index", "status", "output", "error", "prediction_id", "predict_time"]
    Path("rows.csv").write_text('text,whole,items\n007,3,"[1, 2]"\nb,,\nc,x,\n')
    for out in ("out.csv", "out.parquet"):
        assert run_cli(f"batch test/kinds rows.csv -o {out} --ordered --overwrite").code == 5
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["text", "whole", "items", *ours]
    assert [(row["text"], row["whole"], row["items"]) for row in rows] == [
        ("007", "3", "[1, 2]"),
        ("b", "", ""),
        ("c", "x", ""),
    ]
    assert client.predictions.get(rows[0]["prediction_id"]).status == "succeeded"
    assert json.loads(rows[0]["output"]) == {"text": "007", "whole": 3, "items": [1, 2]}
    assert "whole" in rows[2]["error"]
    table = pq.read_table("out.parquet")
    assert table.column_names == ["text", "whole", "items", *ours]
    assert table.column("text").to_pylist() == ["007", "b", "c"]

    # A column has the type of its rows, if they have the same type.
    write(
        "rows.jsonl", *({"anything": x, "real": x, "index": x} for x in (1, 2.5)), {"anything": [1]}
    )
    run_cli("batch test/kinds rows.jsonl -o types.parquet --ordered")
    table = pq.read_table("types.parquet")
    assert table.column_names == ["anything", "real", "index", "result_index", *ours[1:]]
    assert [str(table.schema.field(name).type) for name in ("anything", "real", "index")] == [
        "string",
        "double",
        "double",
    ]
    assert table.column("anything").to_pylist() == ["1", "2.5", "[1]"]
    assert table.column("result_index").to_pylist() == [0, 1, 2]
    table = pa.table({"value": [b"123"], "at": [datetime(2026, 1, 31, tzinfo=UTC)]})
    pq.write_table(table, "rows.parquet")
    run_cli("batch test/echo rows.parquet -o typed.parquet")
    run_cli("batch test/echo rows.parquet -o plain.csv")
    assert pq.read_table("typed.parquet").select(["value", "at"]).equals(table)
    with Path("plain.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["value"] == "data:application/octet-stream;base64,MTIz"
    assert row["at"] == "2026-01-31T00:00:00+00:00"

    # The columns of rows from stdin are not known in advance.
    run_cli("batch test/echo - -o stdin.csv", stdin=b'{"value": 1}\n')
    with Path("stdin.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert list(row) == ["input", *ours]
    assert json.loads(row["input"]) == {"value": 1}


def test_the_extension_parquet_reads_and_writes_parquet(run_cli: RunCLI) -> None:
    table = pa.table({"text": ["a", None], "whole": [None, 3], "items": [[1], None]})
    pq.write_table(table, "rows.parquet")
    done = run_cli("batch test/kinds rows.parquet -o out.parquet --ordered")
    assert done.code == 0
    rows = pq.read_table("out.parquet").to_pylist()
    assert [json.loads(row["output"]) for row in rows] == [
        {"text": "a", "items": [1]},
        {"whole": 3},
    ]
    assert [row["index"] for row in rows] == [0, 1]
    assert rows[0]["predict_time"] > 0
    assert not list(Path().glob(".*.part"))


def test_parquet_may_contain_files_times_and_decimals(run_cli: RunCLI) -> None:
    row = {"value": {"at": datetime(2026, 1, 31, 12, tzinfo=UTC), "price": Decimal("1.50")}}
    pq.write_table(pa.Table.from_pylist([row]), "rows.parquet")
    run_cli("batch test/echo rows.parquet -o out.jsonl")
    assert lines("out.jsonl")[0]["output"] == {"at": "2026-01-31T12:00:00+00:00", "price": 1.5}
    row = {"document": b"12345", "flavor": "red"}
    pq.write_table(pa.Table.from_pylist([row, {"document": b"123"}]), "rows.parquet")
    run_cli("batch test/measure rows.parquet -o out2.jsonl --ordered")
    failed, done = lines("out2.jsonl")
    assert done["output"]["size"] == 3
    assert failed["input"] == lines("out2.failures.jsonl")[0]
    assert failed["input"]["document"].endswith(";base64,MTIzNDU=")


def test_a_row_that_is_not_json_fails_with_a_clear_message(run_cli: RunCLI) -> None:
    rows = [{"value": float("nan"), "after": timedelta(hours=1)}]
    pq.write_table(pa.Table.from_pylist(rows), "rows.parquet")
    assert run_cli("batch test/echo rows.parquet -o out.jsonl").code == 5
    (result,) = lines("out.jsonl")
    assert result["input"] == {"value": "NaN", "after": "1:00:00"}
    assert result["error"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.parquet"])
def test_an_input_without_rows_prints_a_message(run_cli: RunCLI, name: str) -> None:
    Path(name).write_text("text\n" * (name == "rows.csv"))
    if name == "rows.parquet":
        pq.write_table(pa.table({"text": pa.array([], "string")}), name)
    done = run_cli(f"batch dashscope/hello-world {name} -o out.jsonl")
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr == "There are no rows. Nothing was run.\n"
    assert Path("out.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", b'{"value": 1}\n{"value":\n', "rows.jsonl, line 2 is not JSON"),
        ("rows.jsonl", b'{"value": 1}\n{"val', "The file may be incomplete."),
        ("rows.jsonl", b'{"value": 1}\n[1]\n', "line 2 is a JSON array, not an object"),
        ("rows.jsonl", b'{"value": NaN}\n', "line 1 is not JSON: NaN"),
        ("rows.jsonl", b"\xff\xfe\n", "line 1 is not JSON"),
        ("rows.csv", b"a,b\n1\n", "rows.csv, line 2 has 1 cell, but the header has 2"),
        ("rows.csv", b"a,a\n1,2\n", "each column needs a unique name"),
        ("rows.csv", b'a\n"1\n', "rows.csv is not CSV"),
        ("rows.csv", b"a;b\n1;2\n", "rows.csv: cells are separated by ';', not by commas"),
        ("rows.csv", b"a\n\xff\n", "rows.csv is not UTF-8"),
        ("rows.parquet", b"PAR1", "rows.parquet is not Parquet"),
        ("rows.txt", b"", "the extension has to be .jsonl, .csv or .parquet"),
        ("other.jsonl", b"", "rows.jsonl cannot be read: No such file"),
    ],
)
def test_invalid_rows_are_rejected_before_anything_runs(
    run_cli: RunCLI, server: LocalServer, name: str, content: bytes, message: str
) -> None:
    Path(name).write_bytes(content)
    before = len(server.requests)
    done = run_cli(f"batch test/echo {name.replace('other', 'rows')} -o out.jsonl")
    assert (done.code, done.stdout) == (1, "")
    assert message in done.stderr
    assert server.requests[before:] == []
    assert not Path("out.jsonl").exists()


def test_an_invalid_line_on_stdin_ends_the_batch_after_earlier_rows(run_cli: RunCLI) -> None:
    done = run_cli("batch test/echo -", stdin=b'{"value": 1}\n{"value": 2}\nnothing\n')
    assert done.code == 1
    assert len(done.stdout.splitlines()) == 2
    assert "error: stdin, line 3 is not JSON" in done.stderr
    assert "2 rows finished." in done.stderr


def test_a_missing_input_file_is_reported_before_anything_runs(
    run_cli: RunCLI, server: LocalServer, photo: Path
) -> None:
    write("rows.jsonl", {"image": photo.name}, {"image": "nothing.png"}, {"image": 3})
    before = len(server.requests)
    done = run_cli("batch dashscope/thumbnail rows.jsonl --file image")
    assert done.code == 1
    assert "rows.jsonl, line 2: image=nothing.png: No such file" in done.stderr
    assert server.requests[before:] == []


@variants(
    ("options", "code", "message"),
    [
        ("-o rows.jsonl --overwrite", 2, "rows.jsonl cannot be both the rows and the results"),
        (
            "-o out.jsonl --failures ./out.jsonl",
            2,
            "./out.jsonl cannot be both the results and the failures",
        ),
        ("-o precious.jsonl", 1, "precious.jsonl already exists. To replace it, pass --overwrite"),
        ("-o out.jsonl --failures precious.jsonl", 1, "precious.jsonl already exists"),
        (
            "-o out.txt",
            1,
            "out.txt cannot be written: the extension has to be .jsonl, .csv or .parquet",
        ),
        ("-o nothing/", 1, "cannot be written"),
        ("-o precious.jsonl/out.jsonl", 1, "precious.jsonl is not a folder"),
        ("-o out.jsonl value=1 value=2", 2, "value is given 2 times"),
        ("--max-rate 0", 2, "--max-rate"),
    ],
)
def test_invalid_options_are_rejected_before_anything_runs(
    run_cli: RunCLI, server: LocalServer, options: str, code: int, message: str
) -> None:
    write("rows.jsonl", {"value": 1})
    Path("precious.jsonl").write_text("precious")
    before = len(server.requests)
    done = run_cli(f"batch test/echo rows.jsonl {options}")
    assert (done.code, done.stdout) == (code, "")
    assert message in " ".join(done.stderr.split())
    assert server.requests[before:] == []
    assert Path("precious.jsonl").read_text() == "precious"


def test_a_missing_model_is_reported_once(run_cli: RunCLI, server: LocalServer) -> None:
    write("rows.jsonl", {"value": 1}, {"value": 2})
    before = len(server.requests)
    done = run_cli("batch test/nothing rows.jsonl -o out.jsonl")
    assert (done.code, done.stdout) == (1, "")
    assert done.stderr.count("test/nothing") == 2  # the request and the message of the server
    assert len(server.requests) == before + 1
    assert not Path("out.jsonl").exists()


@variants("name", ["full.jsonl", "full.csv"])
def test_a_full_disk_is_reported_and_running_predictions_are_canceled(
    run_cli: RunCLI, client: Client, name: str
) -> None:
    Path(name).symlink_to("/dev/full")
    write("rows.jsonl", {"seconds": 0, "tag": "first"}, {"seconds": 60, "tag": "full-disk"})
    done = run_cli(f"batch test/slow rows.jsonl -o {name} --overwrite")
    assert (done.code, done.stdout) == (1, "")
    assert f"error: {name} cannot be written: No space left on device" in done.stderr
    if name.endswith("jsonl"):
        assert status_of(client, "full-disk") == "canceled"


def test_without_the_parquet_extra_the_error_names_it(
    run_cli: RunCLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope.cli.parquet.find_spec", lambda _: None)
    done = run_cli("batch test/echo rows.parquet")
    assert done.code == 1
    assert install_command("parquet") in done.stderr


def test_ctrl_c_cancels_running_predictions_and_keeps_results(
    dashscope: CommandLine, client: Client
) -> None:
    rows = [{"seconds": 0, "tag": "done"}, {"seconds": 60, "tag": "batch-1"}]
    (dashscope.folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = dashscope.folder / "out.jsonl"
    program = dashscope.start("batch", "test/slow", "rows.jsonl", "-o", "out.jsonl")
    id = wait_until_running(client, "batch-1")
    wait_until(lambda: out.exists() and out.read_text().endswith("\n"))
    program.send(signal.SIGINT)
    done = program.finish()
    assert (done.code, done.stdout) == (130, "")
    assert done.stderr == (
        f"Interrupted.\n1 row finished. Results are in out.jsonl.\nCanceled prediction {id}.\n"
    )
    assert json.loads(out.read_text())["input"]["tag"] == "done"
    assert status_of(client, "batch-1") == "canceled"


def test_a_terminal_shows_a_progress_bar(dashscope: CommandLine, terminal: Terminal) -> None:
    rows = [json.dumps({"seconds": 0.4})] * 5
    (dashscope.folder / "rows.jsonl").write_text("\n".join(rows))
    done = dashscope(
        *("batch", "test/slow", "rows.jsonl", "--concurrency", "2"),
        stderr=terminal.end,
        env={"TERM": "xterm", "COLUMNS": "100"},
    )
    terminal.close()
    assert (done.code, done.stdout.count("\n")) == (0, 5)
    assert "2/5" in terminal.shown or "3/5" in terminal.shown
    assert "2 running" in terminal.shown
    assert terminal.shown.rstrip().endswith("predict seconds.")
