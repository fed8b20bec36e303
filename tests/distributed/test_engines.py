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
from tests.servers.fake_server import FakeServer

# The engines emit warnings, and start slowly on a busy machine.
pytestmark = [
    pytest.mark.distributed,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(600),
]

REF = "owner/name"


@pytest.fixture
def service(fake_server: FakeServer) -> Service:
    """A fake service of a model with a schema."""
    return Service.with_schema(fake_server, {"value": {}})


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


def test_ray(service: Service, tmp_path: Path, ray_cluster: Any) -> None:
    """After an actor was killed, its replacement finds its predictions."""
    import psutil
    import ray

    from dashscope.integrations.ray import run_model, shared_rate

    service.seconds = lambda _: 0.5
    options: dict[str, Any] = {
        "inputs": {"value": "number"},
        "checkpoint": f"{tmp_path}/run/",
        "base_url": service.fake_server.base_url,
        "workers": 2,
        "batch_size": 20,
        "max_rate": shared_rate(40),
    }

    def kill_one() -> None:
        while len(service.created) < 20:
            time.sleep(0.02)
        processes = psutil.Process().children(recursive=True)
        actors = [each for each in processes if "MapWorker" in "".join(each.cmdline())]
        actors[0].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    parts = [frame(80).iloc[first : first + 20] for first in range(0, 80, 20)]
    for _ in range(2):
        found = run_model(ray.data.from_pandas(parts), REF, **options).to_pandas()
        assert sorted(found["output"].astype(int)) == list(range(80))
        assert sorted(service.values) == list(range(80))
    killer.join()
    assert service.canceled == []


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

    @daft.func.batch(return_dtype=daft.DataType.string())
    def output(number: Any) -> Any:
        return model({"number": number.to_pylist()})["output"]

    numbers = daft.from_pydict({"number": list(range(20))})
    found = numbers.with_column("output", output(numbers["number"])).to_pydict()
    assert found["output"] == [str(number) for number in range(20)]


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


def test_two_live_workers_with_the_same_partition(service: Service, database: Any) -> None:
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
    assert [[row["output"] for row in each] for each in found] == [list(range(20))] * 3
    assert len(service.created) == 20
