"""Values and inputs with the data libraries that are too large for every test run."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import polars as pl
from datasets import Dataset
from matplotlib.figure import Figure

from dashscope import BatchResult, FileError, Page, Prediction
from dashscope._batch.input_reader import rows_of
from dashscope._files.inputs import encode
from dashscope._files.local_file import LocalFile
from dashscope._runtime.sync_runtime import SyncRuntime
from dashscope.types.prediction import Metrics
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply

COLUMNS = {"width": [64, 32], "text": ["a", None]}
ROWS = [{"width": 64, "text": "a"}, {"width": 32}]


def test_polars_creates_a_column_per_field() -> None:
    made = Prediction(
        id="p1", status="succeeded", output="hi", input={"a": 1}, metrics=Metrics(predict_time=1.5)
    )
    for rows in ([made, made], Page(results=(made, made))):
        frame = pl.DataFrame(rows)
        assert frame.columns == list(made)
        assert frame["output"].to_list() == ["hi", "hi"]
        assert frame["metrics"].to_list()[0]["predict_time"] == 1.5
    frame = pl.DataFrame(
        [
            BatchResult(index=0, input={"a": 1}, error=FileError("no file")),
            BatchResult(index=1, input={"a": 2}, output="hi", prediction=made),
        ]
    )
    assert frame["error"].to_list() == ["no file", None]
    assert frame["output"].to_list() == [None, "hi"]


def test_tables_are_read_by_row() -> None:
    for table in (pl.DataFrame(COLUMNS), Dataset.from_dict(COLUMNS)):
        rows = rows_of(table)
        assert len(rows) == 2
        assert list(rows) == list(rows) == ROWS


async def test_map_accepts_tables_and_rows(make_client: Any, fake_server: FakeServer) -> None:
    def response(request: Received) -> Reply:
        if request.method == "POST":
            return reply(prediction("succeeded", output=request.json["input"]), 201)
        return reply({"results": []})

    fake_server.respond_with(response)
    client = make_client(base_url=fake_server.base_url)
    frame = pl.DataFrame(COLUMNS)
    for inputs in (frame, Dataset.from_dict(COLUMNS), frame.to_arrow()):
        async with client.map("owner/name", inputs, ordered=True) as results:
            assert [result.output async for result in results] == ROWS
    assert await client.run("owner/name", frame.row(0, named=True)) == ROWS[0]
    assert await client.run("owner/name", {"n": frame["width"]}) == {"n": [64, 32]}


async def test_a_figure_is_sent_as_png() -> None:
    mpl.use("agg")
    figure = Figure()
    figure.subplots().plot([1, 2])

    async def upload(file: LocalFile) -> str:
        assert file.read().startswith(b"\x89PNG")
        return f"{file.filename} {file.content_type}"

    runtime = SyncRuntime(lambda value: value)
    assert await encode({"plot": figure}, runtime, upload, "upload") == {
        "plot": "image.png image/png"
    }
