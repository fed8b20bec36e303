"""The same function on Ray, Dask, Spark, Daft, Hugging Face datasets, pandas and Polars."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from dashscope.integrations.dataframes import ModelUdf, udf
from tests.servers.batch_service import Service
from tests.servers.fake_server import FakeServer, reply

# The engines emit warnings.
pytestmark = [pytest.mark.distributed, pytest.mark.filterwarnings("default")]

REF = "owner/name"


@pytest.fixture
def service(fake_server: FakeServer) -> Service:
    """A fake service of a model with a schema."""
    service = Service(fake_server)
    schemas = {"Input": {"type": "object", "properties": {"value": {}}}, "Output": {}}
    version = {
        "id": "v1",
        "created_at": "2026-01-01T00:00:00Z",
        "cog_version": "0.9",
        "openapi_schema": {"components": {"schemas": schemas}},
    }
    model = {"owner": "owner", "name": "name", "url": "", "latest_version": version}
    service.override = lambda received: (
        reply(model) if received.path == "/v1/models/owner/name" else None
    )
    return service


def made(service: Service, folder: Path) -> ModelUdf:
    return udf(
        REF,
        inputs={"value": "number"},
        checkpoint=f"{folder}/run/",
        base_url=service.fake_server.base_url,
    )


def frame(count: int) -> Any:
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"number": range(count), "other": "x"})


def test_dask(service: Service, tmp_path: Path) -> None:
    """After a worker was killed, the retry finds its predictions."""
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask.dataframe")
    service.seconds = lambda _: 0.5
    model = made(service, tmp_path)
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as engine,
    ):
        ddf = dask.from_pandas(frame(120), npartitions=6)
        future = engine.compute(ddf.map_partitions(model, meta=model.dask_meta(ddf)))
        while len(service.created) < 40:
            time.sleep(0.02)
        os.kill(min(engine.run(os.getpid).values()), signal.SIGKILL)
        found = future.result(timeout=90)
    assert sorted(found["output"].astype(int)) == list(range(120))
    assert sorted(service.values) == list(range(120))
    assert service.canceled == []


def test_ray(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from dashscope.integrations.ray import run_model, shared_rate

    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "120")
    memory = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args=memory)
    cluster.add_node(**memory)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        options: dict[str, Any] = {
            "inputs": {"value": "number"},
            "checkpoint": f"{tmp_path}/run/",
            "base_url": service.fake_server.base_url,
            "workers": (1, 2),
            "batch_size": 20,
            "max_rate": shared_rate(200),
        }
        for _ in range(2):
            dataset = ray.data.from_pandas(frame(80)).repartition(4)
            found = run_model(dataset, REF, **options).to_pandas()
            assert sorted(found["output"].astype(int)) == list(range(80))
        assert len(service.created) == 80
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_spark(service: Service, tmp_path: Path) -> None:
    sql = pytest.importorskip("pyspark.sql")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        sql.SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    try:
        model = made(service, tmp_path)
        df = spark.createDataFrame([(number, "x") for number in range(40)], ["number", "other"])
        for function in (df.mapInPandas, df.mapInArrow):
            found = function(model, schema=model.spark_schema(df.schema)).collect()
            assert sorted(int(row["output"]) for row in found) == list(range(40))
        assert len(service.created) == 40
    finally:
        spark.stop()


def test_datasets(service: Service, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    model = made(service, tmp_path)
    found = datasets.Dataset.from_list([{"number": number} for number in range(20)]).map(
        model, batched=True, batch_size=10
    )
    assert [int(output) for output in found["output"]] == list(range(20))


def test_polars(service: Service, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    model = made(service, tmp_path)
    lazy = polars.LazyFrame({"number": list(range(20))}).map_batches(
        model, schema=model.polars_schema({"number": polars.Int64})
    )
    assert [int(output) for output in lazy.collect()["output"]] == list(range(20))


def test_daft(service: Service, tmp_path: Path) -> None:
    daft = pytest.importorskip("daft")
    model = made(service, tmp_path)
    found = daft.from_pydict({"number": list(range(20))})
    parts = [model(part) for part in found.to_arrow_iter()]
    outputs = [int(output) for part in parts for output in part.column("output").to_pylist()]
    assert sorted(outputs) == list(range(20))


def test_ctrl_c_in_the_driver_cancels_on_every_worker(service: Service, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    service.seconds = lambda _: 60.0
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as engine,
    ):
        with pytest.raises(KeyboardInterrupt), made(service, tmp_path) as model:
            parts = [[{"number": 10 * n + m} for m in range(10)] for n in range(2)]
            futures = engine.map(model, parts)
            while len(service.created) < 20:
                time.sleep(0.02)
            raise KeyboardInterrupt
        assert futures
        assert len(service.canceled) == 20


def test_two_live_workers_with_the_same_partition_are_reported(
    service: Service, database: Any
) -> None:
    service.seconds = lambda _: 0.5
    model = udf(
        REF,
        inputs={"value": "number"},
        checkpoint=database.url,
        base_url=service.fake_server.base_url,
    )
    rows = [{"number": number} for number in range(20)]
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(model(rows))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[row["output"] for row in item] for item in found] == [list(range(20))] * 3
    assert len(service.created) == 20
