"""`udf()`: a model as a function of partitions, in this process and in pools of processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from dashscope import CheckpointError, ConfigurationError
from dashscope.integrations._worker import worker
from dashscope.integrations.dataframes import ModelUdf, udf
from tests.cli.process import interruptible
from tests.integrations import partitions
from tests.integrations.partitions import numbers, work
from tests.servers.batch_service import Service
from tests.servers.fake_server import FakeServer, reply
from tests.waiting import wait_until

REF = "owner/name"


@pytest.fixture
def service(fake_server: FakeServer) -> Service:
    """A fake service of a model with a schema."""
    properties = {"value": {"title": "Value"}, "fail": {"type": "string"}}
    return Service.with_schema(fake_server, properties)


def made(service: Service, **options: Any) -> ModelUdf:
    """Return a function of the service's model."""
    options = {"inputs": {"value": "number"}, **options}
    return udf(REF, base_url=service.fake_server.base_url, **options)


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """Processes that fork from one that has loaded the package, and start in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([partitions.__name__])
    yield context
    forkserver._forkserver._stop()  # type: ignore[attr-defined]


def test_a_partition_keeps_its_type(service: Service) -> None:
    import pyarrow as pa

    run = made(service)
    rows = run(numbers(3))
    assert [row["output"] for row in rows] == [0, 1, 2]
    assert list(rows[0]) == ["number", "other", "output", "error", "prediction_id", "seconds"]
    assert rows[0]["error"] is None
    table = run(pa.Table.from_pylist(numbers(2)))
    assert isinstance(table, pa.Table)
    assert table.column("output").to_pylist() == ["0", "1"]
    batch = run(pa.RecordBatch.from_pylist(numbers(2)))
    assert isinstance(batch, pa.RecordBatch)
    assert batch.schema.field("seconds").type == pa.float64()
    columns = run({"number": [5, 6], "other": ["x", "y"]})
    assert columns["output"] == ["5", "6"]
    iterator = run(iter([pa.RecordBatch.from_pylist(numbers(2))] * 2))
    assert [item.num_rows for item in iterator] == [2, 2]
    assert run([]) == []
    for wrong in ("text", 5, {"number": "text"}):
        with pytest.raises(TypeError, match="a partition must be"):
            run(wrong)


def test_udf_accepts_pandas_and_polars(service: Service) -> None:
    import pandas as pd
    import polars as pl

    run = made(service)
    frame = run(pd.DataFrame({"number": [1.0, float("nan")], "other": "x"}, index=[5, 7]))
    assert frame["output"].tolist() == [1.0, None]
    assert frame.index.tolist() == [5, 7]
    assert set(service.values) == {1.0, None}
    assert run(pl.DataFrame(numbers(2)))["output"].to_list() == ["0", "1"]


def test_columns_are_checked(service: Service) -> None:
    with pytest.raises(TypeError, match="key must be a column or a sequence of columns, not 5"):
        made(service, key=5)
    with pytest.raises(ValueError, match="no column 'no'.* Its columns are 'number', 'other'"):
        made(service, inputs={"value": "no"})(numbers(1))
    with pytest.raises(ValueError, match="has a column 'error' already"):
        made(service)([{"number": 1, "error": ""}])
    assert service.created == []


def test_empty_partitions(service: Service) -> None:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    run = made(service)
    for empty in (pd.DataFrame({"number": []}), pd.DataFrame(), pl.DataFrame({"number": []})):
        assert list(run(empty).columns)[-4:] == list(run.columns)
    assert run(pa.table({})).schema.names == list(run.columns)
    assert run({"number": []})["output"] == []
    assert list(run(iter([]))) == []
    assert service.created == []


def test_errors_are_in_their_row(service: Service) -> None:
    run = made(service, inputs=lambda row: {"value": row["number"], **row["more"]})
    rows = [{"number": 1, "more": {}}, {"number": 2, "more": {"fail": "too hot"}}]
    first, second, third = run([*rows, {"number": 3, "more": {"fail": 4}}])
    assert third["error"] == "owner/name: fail must be a string, not 4"
    assert (first["output"], first["error"]) == (1, None)
    assert (second["output"], second["error"] is not None) == (None, True)
    assert "too hot" in second["error"]
    wrong = made(service, inputs=lambda row: {"value": {1, 2j}} if row["number"] else {"value": 0})
    results = wrong(numbers(2))
    assert results[0]["output"] == 0
    assert "neither a JSON value nor a file" in results[1]["error"]
    with pytest.raises(Exception, match="too hot"):
        made(service, inputs=run.inputs, on_error="raise")(rows)


def test_equal_rows_share_a_prediction_unless_a_key_tells_them_apart(
    service: Service, tmp_path: Path
) -> None:
    rows = [{"number": 1, "id": id} for id in ("a", "b", "a")]
    folder = f"{tmp_path}/run/"
    assert len({row["prediction_id"] for row in made(service, checkpoint=folder)(rows)}) == 1
    assert len(service.created) == 1
    keyed = made(service, checkpoint=folder, key="id")
    ids = [row["prediction_id"] for row in keyed(rows)]
    assert ids[0] == ids[2] != ids[1]
    assert len(service.created) == 3


@pytest.mark.parametrize("place", ["run/", "run.sqlite"])
def test_rows_are_recognized_in_any_partition(service: Service, tmp_path: Path, place: str) -> None:
    run = made(service, checkpoint=f"{tmp_path}/{place}")
    run(numbers(10))
    requested = service.request_counts["create"]
    again = made(service, checkpoint=f"{tmp_path}/{place}")
    rows = [*again(numbers(5, 3)), *again(list(reversed(numbers(7))))]
    assert all(row["output"] == row["number"] for row in rows)
    assert service.request_counts["create"] == requested == 10
    if place == "run/":
        made(service, checkpoint=f"{tmp_path}/{place}", resume=False)(numbers(2))
        assert service.request_counts["create"] == 12


def test_a_process_pool_shares_a_folder(
    service: Service, tmp_path: Path, processes: ForkServerContext
) -> None:
    run = made(service, checkpoint=f"{tmp_path}/run/")
    assert b"secret" not in pickle.dumps(run)
    with ProcessPoolExecutor(2, mp_context=processes) as pool:
        for _ in range(2):
            parts = list(pool.map(run, [numbers(5, first) for first in range(0, 20, 5)]))
            assert [row["output"] for part in parts for row in part] == list(range(20))
    assert len(service.created) == 20
    assert len(list(Path(f"{tmp_path}/run").glob("*.segment"))) <= 2


Worker = tuple[ForkServerProcess, Path]


@pytest.fixture
def start(tmp_path: Path, processes: ForkServerContext) -> Iterator[Callable[..., Worker]]:
    """Start workers. Each is a process and the file that its stderr is written to."""
    started: list[ForkServerProcess] = []

    def start(run: ModelUdf, first: int, count: int) -> Worker:
        errors = tmp_path / f"errors-{len(started)}"
        started.append(processes.Process(target=work, args=(run, first, count, errors)))
        started[-1].start()
        return started[-1], errors

    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_worker_leaves_its_predictions_to_the_retry(
    service: Service, tmp_path: Path, start: Callable[..., Worker], how: signal.Signals
) -> None:
    service.seconds = lambda _: 0.0 if len(service.created) < 8 else 60.0
    run = made(service, checkpoint=f"{tmp_path}/run/", concurrency=8)
    process, _ = start(run, 0, 24)
    wait_until(lambda: len(service.created) >= 16)
    os.kill(process.pid or 0, how)
    process.join(60)
    assert process.exitcode not in (0, None)
    service.seconds = lambda _: 0.0
    for created in service.created:
        created.seconds = 0.0
    results = run(numbers(24))
    assert [row["output"] for row in results] == list(range(24))
    assert len(service.created) == 24
    assert service.canceled == []


def recorded(folder: Path) -> int:
    """Return how many predictions the workers have recorded in a checkpoint."""
    texts = [segment.read_text() for segment in folder.glob("*.segment")]
    return sum(text.count('["created"') for text in texts)


def test_the_driver_cancels_what_its_workers_have_not_finished(
    service: Service, tmp_path: Path, start: Callable[..., Worker]
) -> None:
    service.seconds = lambda _: 60.0
    run = made(service, checkpoint=f"{tmp_path}/run/", concurrency=8)
    other = made(service, checkpoint=f"{tmp_path}/run/", concurrency=8)
    (dead, _), (alive, errors) = start(run, 0, 8), start(run, 100, 24)
    wait_until(lambda: recorded(tmp_path / "run") == 16)
    # Another run uses the same folder, and continues half of the rows of the dead worker.
    dead.kill()
    dead.join()
    third, _ = start(other, 4, 12)
    wait_until(lambda: recorded(tmp_path / "run") == 20)
    with pytest.raises(KeyboardInterrupt), run:
        raise KeyboardInterrupt
    alive.join(60)
    assert "canceled" in errors.read_text()
    canceled = [one.input["value"] for one in service.created if one.canceled is not None]
    assert sorted(canceled) == [*range(4), *range(100, 108)]
    assert other.cancel() == 8
    third.join(60)
    assert len(service.created) == len(service.canceled) == 20
    service.seconds = lambda _: 0.0
    again = made(service, checkpoint=f"{tmp_path}/run/")
    assert all(row["output"] == row["number"] for row in again(numbers(8)))


DRIVER = """
import pickle, signal, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from dashscope.integrations.dataframes import udf

if __name__ == "__main__":
    run = udf(
        "owner/name", inputs={"value": "number"}, checkpoint="run/", base_url=sys.argv[1],
        concurrency=8,
    )
    parts = [[{"number": first + number} for number in range(8)] for first in (0, 100)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(run, parts))
"""


def test_ctrl_c_in_the_driver_cancels_on_every_worker(service: Service, tmp_path: Path) -> None:
    service.seconds = lambda _: 60.0
    (tmp_path / "driver.py").write_text(DRIVER)
    with interruptible():
        process = subprocess.Popen(
            [sys.executable, "driver.py", service.fake_server.base_url],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            start_new_session=True,
        )
    wait_until(lambda: len(service.created) == 16)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "Canceled 16 predictions." in errors
    assert len(service.canceled) == 16


def test_a_signal_that_another_thread_receives_interrupts_a_call() -> None:
    """Python runs the handler on the main thread, which must not wait without looking."""
    ends: list[str] = []

    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    async def call() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(0.05)
            ends.append("cleaned up")

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with pytest.raises(Stop):
            worker.run(call)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ends == ["cleaned up"]


def test_a_checkpoint_for_other_inputs(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made(service, checkpoint=f"{tmp_path}/run/")(numbers(2))
    made(service, checkpoint=f"{tmp_path}/run/")(numbers(3, 1))
    assert caplog.text == ""
    made(service, checkpoint=f"{tmp_path}/run/")(numbers(2, 10))
    assert "run/ has 4 rows, but none of them matches the inputs" in caplog.text


def test_a_folder_that_is_not_shared(service: Service, tmp_path: Path) -> None:
    run = made(service, checkpoint=f"{tmp_path}/run/")
    (tmp_path / "run" / "checkpoint.json").unlink()
    with pytest.raises(CheckpointError, match="is not shared with this worker"):
        run(numbers(1))
    made(service, checkpoint=f"{tmp_path}/run/")
    with pytest.raises(CheckpointError, match="is not shared with this worker"):
        run(numbers(1))
    assert service.created == []


def test_a_worker_without_a_token(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_TOKEN", "r8_secret")
    run = made(service)
    assert b"r8_secret" not in pickle.dumps(run)
    monkeypatch.delenv("DASHSCOPE_API_TOKEN")
    with pytest.raises(ConfigurationError, match="not on the worker"):
        run(numbers(1))


def test_two_live_workers_with_the_same_rows_are_reported(
    service: Service, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from dashscope._batch.checkpoint.events import Created, Intended
    from dashscope._batch.checkpoint.folder import Folder, prepare

    folder = f"{tmp_path}/run/"
    id = prepare(folder, REF)
    workers = [Folder(folder, id) for _ in range(3)]
    for number, each in enumerate(workers[:2]):
        intended = Intended(b"k", b"", "", b"s", "2026-01-01T00:00:00+00:00", None)
        each.write([intended, Created(b"k", f"p{number}", None)], run=None)
    workers[2].refresh()
    assert "two live workers created the predictions p0 and p1" in caplog.text
    for one in workers:
        one.close()
    (segment, *_) = sorted(Path(folder).glob("*.segment"))
    segment.write_bytes(segment.read_bytes() + b'["created","')  # a torn line
    made(service, checkpoint=folder)(numbers(1))
    segment.write_bytes(segment.read_bytes() + b'"]\n')
    with pytest.raises(CheckpointError, match="is damaged: the line at byte"):
        Folder(folder, id).refresh()


def test_output_files_are_saved_under_a_prefix(service: Service, tmp_path: Path) -> None:
    url = f"{service.fake_server.base_url}/files/picture.png"
    plain = service.override
    service.override = lambda received: (
        reply({"any": "content"}) if received.path.endswith("picture.png") else plain(received)
    )
    run = made(service, inputs=lambda _: {"value": [url, "text"]}, save_to=tmp_path / "files")
    (row,) = run(numbers(1))
    assert row["output"] == [f"{tmp_path}/files/p0-0.png", "text"]
    assert b"content" in (tmp_path / "files" / "p0-0.png").read_bytes()
