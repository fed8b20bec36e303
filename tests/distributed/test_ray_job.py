"""Jobs for Ray: the example, and `dashscope batch --ray`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dashscope.local import LocalServer
from tests.cli.process import Finished, Program

EXAMPLES = Path(__file__).parents[1] / "integrations" / "examples"

# The engines emit warnings, and start slowly on a busy machine.
pytestmark = [
    pytest.mark.distributed,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(600),
]


@pytest.fixture
def server() -> Iterator[LocalServer]:
    """A server with the models of the examples."""
    with LocalServer() as server:
        yield server


def created(server: LocalServer) -> int:
    """Return how many predictions were created."""
    asked = [each for each in server.requests if each.path.endswith("/predictions")]
    return len([each for each in asked if each.method == "POST"])


def test_the_job_creates_each_prediction_once(
    tmp_path: Path, server: LocalServer, ray_cluster: Any
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    names = [f"name {number}" for number in range(40)]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"name": name}) + "\n" for name in names))
    env = {"DASHSCOPE_BASE_URL": server.base_url, "RAY_ADDRESS": ray_cluster.address}
    for _ in range(2):
        job = Program(*(EXAMPLES / "ray_job.py", rows, tmp_path / "results"), cwd=tmp_path, env=env)
        done = job.finish(within=240)
        assert done.code == 0, done.stderr
    assert created(server) == len(names)
    table = parquet.read_table(tmp_path / "results" / "parts").to_pylist()
    assert sorted(row["output"] for row in table) == sorted(f"hello {name}" for name in names)


def run_batch(
    server: LocalServer, cluster: Any, folder: Path, arguments: Sequence[str], env: dict[str, str]
) -> Finished:
    """Run `dashscope batch` on the cluster."""
    env = {**env, "DASHSCOPE_BASE_URL": server.base_url}
    command = ["-m", "dashscope", "batch", "dashscope/hello-world", *arguments]
    return Program(*command, "--ray", cluster.address, cwd=folder, env=env).finish(within=240)


def test_the_command_reads_and_writes_an_object_store(
    tmp_path: Path, server: LocalServer, ray_cluster: Any, s3: dict[str, str]
) -> None:
    """With `--key`, a second call runs only the rows that are new."""
    import pyarrow as pa
    from pyarrow import fs, parquet

    store, _ = fs.FileSystem.from_uri("s3://bucket?allow_bucket_creation=true")
    store.create_dir("bucket/in")
    for part in range(2):
        table = pa.table({"id": [2 * part, 2 * part + 1], "text": [f"{part}a", f"{part}b"]})
        parquet.write_table(table, f"bucket/in/{part}.parquet", filesystem=store)
    command = ["s3://bucket/in/*.parquet", "-o", "s3://bucket/out/", "--key", "id"]
    done = run_batch(server, ray_cluster, tmp_path, command, s3)
    assert done.code == 0, done.stderr
    assert "4 rows: 4 done, 0 failed" in done.stderr
    found = parquet.read_table("bucket/out", filesystem=store).sort_by("id").to_pylist()
    assert [row["output"] for row in found] == ["hello 0a", "hello 0b", "hello 1a", "hello 1b"]
    table = pa.table({"id": [4], "text": ["new"]})
    parquet.write_table(table, "bucket/in/2.parquet", filesystem=store)
    done = run_batch(server, ray_cluster, tmp_path, command, s3)
    assert done.code == 0, done.stderr
    assert created(server) == 5
    assert len(parquet.read_table("bucket/out", filesystem=store)) == 5
    refused = run_batch(server, ray_cluster, tmp_path, command[:3], s3)
    assert refused.code == 1
    assert "s3://bucket/out/ contains results" in refused.stderr


def test_the_command_reads_files_and_reports_failed_rows(
    tmp_path: Path, server: LocalServer, ray_cluster: Any, s3: dict[str, str]
) -> None:
    from pyarrow import parquet

    (tmp_path / "rows.csv").write_text("name,text\nA,1\nB,\n")
    command = [(tmp_path / "*.csv").as_uri().replace("%2A", "*"), "-o", "out/"]
    options = ["--checkpoint", "run/", "--max-rate", "50", "--concurrency", "8", "--json"]
    done = run_batch(server, ray_cluster, tmp_path, [*command, *options], s3)
    assert done.code == 5, done.stderr
    assert json.loads(done.stdout)["failed"] == 1
    rows = parquet.read_table(tmp_path / "out").sort_by("name").to_pylist()
    # The schema makes a cell text, as without Ray. An empty cell is a missing input.
    assert rows[0]["output"] == "hello 1"
    assert "text" in rows[1]["error"]
    missing = run_batch(server, ray_cluster, tmp_path, ["no*.csv", "-o", "more/"], s3)
    assert missing.code == 1
    assert "no*.csv" in missing.stderr
    (tmp_path / "none.csv").write_text("name,text\n")
    empty = run_batch(server, ray_cluster, tmp_path, ["none.csv", "-o", "empty/"], s3)
    assert empty.code == 0, empty.stderr
    assert "There are no rows." in empty.stderr
