"""The example of a job for Ray."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashscope.local import LocalServer
from tests.cli.process import Program

EXAMPLES = Path(__file__).parents[1] / "integrations" / "examples"
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.distributed


def test_the_job_creates_each_prediction_once(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    parquet = pytest.importorskip("pyarrow.parquet")
    names = [f"name {number}" for number in range(40)]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"name": name}) + "\n" for name in names))
    with LocalServer() as server:
        env = {
            "DASHSCOPE_BASE_URL": server.base_url,
            "PYTHONPATH": str(ROOT),
            "RAY_raylet_start_wait_time_s": "120",
        }
        for _ in range(2):
            job = Program(
                *(EXAMPLES / "ray_job.py", rows, tmp_path / "results"), cwd=tmp_path, env=env
            )
            done = job.finish(within=240)
            assert done.code == 0, done.stderr
        created = [asked for asked in server.requests if asked.path.endswith("/predictions")]
        assert len([asked for asked in created if asked.method == "POST"]) == len(names)
    table = parquet.read_table(tmp_path / "results" / "parts").to_pylist()
    assert {row["output"] for row in table} == {f"hello {name}" for name in names}
