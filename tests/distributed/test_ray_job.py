"""The example of a job for Ray."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashscope.local import LocalServer
from tests.cli.process import Program

EXAMPLES = Path(__file__).parents[1] / "integrations" / "examples"
ROOT = Path(__file__).parents[2]

# Starting Ray takes up to a minute on a busy machine, and Ray gives warnings of its own.
pytestmark = [
    pytest.mark.distributed,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(600),
]


def test_the_job_creates_each_prediction_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from pyarrow import parquet
    from ray.cluster_utils import Cluster

    names = [f"name {number}" for number in range(40)]
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"name": name}) + "\n" for name in names))
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with LocalServer() as server:
        monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)  # the workers inherit this
        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 2, "object_store_memory": 80_000_000},
        )
        try:
            for _ in range(2):
                job = Program(
                    *(EXAMPLES / "ray_job.py", rows, tmp_path / "results"),
                    cwd=tmp_path,
                    env={
                        "DASHSCOPE_BASE_URL": server.base_url,
                        "PYTHONPATH": str(ROOT),
                        "RAY_ADDRESS": cluster.address,
                    },
                )
                done = job.finish(within=240)
                assert done.code == 0, done.stderr
        finally:
            cluster.shutdown()
        created = [
            requested
            for requested in server.requests
            if requested.method == "POST" and requested.path.endswith("/predictions")
        ]
    assert len(created) == len(names)
    table = parquet.read_table(tmp_path / "results" / "parts").to_pylist()
    assert sorted(row["output"] for row in table) == sorted(f"hello {name}" for name in names)
