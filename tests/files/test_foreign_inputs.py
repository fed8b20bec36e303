"""Inputs from other libraries: NumPy, pandas, Pillow, pydantic and the standard library."""

from __future__ import annotations

import dataclasses
import enum
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import anyio
import attrs
import numpy as np
import pytest
import trio
from PIL import Image
from pydantic import BaseModel

from dashscope import BatchResult, File, Hardware, Page, Prediction, Training, Version
from dashscope._batch.checkpoint.fingerprint import input_fingerprint
from dashscope._batch.input_reader import rows_of
from dashscope._files.inputs import as_mapping, encode, settled
from dashscope._files.local_file import LocalFile
from dashscope._functions.check import check
from dashscope._functions.schema import schema_of
from dashscope._runtime.sync_runtime import SyncRuntime
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply

RUNTIME = SyncRuntime(lambda value: value)


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 64


class Settings(BaseModel):
    width: int = 64
    content: bytes = b"x"


@dataclasses.dataclass
class Dataclass:
    width: int = 64


@attrs.frozen
class Attrs:
    width: int = 64


class Named(NamedTuple):
    width: int = 64


async def uploaded(file: LocalFile) -> str:
    return f"{file.filename} {file.content_type} {len(file.read())}"


async def encoded(value: Any) -> Any:
    return (await encode({"value": value}, RUNTIME, uploaded, "upload"))["value"]


def converted() -> list[tuple[Any, Any]]:
    """Return values of other libraries, and the JSON that is sent."""
    import pandas as pd
    import pyarrow as pa

    return [
        (np.int64(64), 64),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("text"), "text"),
        (np.arange(3), [0, 1, 2]),
        (np.zeros((1, 2)), [[0.0, 0.0]]),
        (np.datetime64("2026-01-02"), "2026-01-02"),
        (np.array(["2026-01-02", "NaT"], dtype="datetime64[D]"), ["2026-01-02", None]),
        (pd.Timestamp("2026-01-02 03:04:05"), "2026-01-02T03:04:05"),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Series([1, 2]), [1, 2]),
        (pd.Categorical(["a"]), ["a"]),
        (pa.scalar(5), 5),
        (pa.array([1, None]), [1, None]),
        (Decimal("0.1"), 0.1),
        (Decimal(64), 64),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2026, 1, 2), "2026-01-02"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (time(3, 4), "03:04:00"),
        (Color.RED, "red"),
        (Size.SMALL, 64),
        ({10, 9, 1}, [1, 10, 9]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({(1, Color.RED)}, [[1, "red"]]),
        ((n for n in (1, np.int8(2))), [1, 2]),
        (map(str, (1, 2)), ["1", "2"]),
        ({"a": 1}.keys(), ["a"]),
        (range(2), [0, 1]),
        (Settings(), {"width": 64, "content": "file application/octet-stream 1"}),
        (Dataclass(), {"width": 64}),
        (Attrs(), {"width": 64}),
        (Named(64), [64]),
    ]


async def test_values_of_other_libraries_become_json(tmp_path: Path) -> None:
    for value, expected in converted():
        found = await encoded(value)
        assert found == expected
        assert type(found) is type(expected)
    path = tmp_path / "photo.png"
    path.write_bytes(b"12345")
    (entry,) = os.scandir(tmp_path)
    for file in (path, anyio.Path(path), trio.Path(path), entry):
        assert await encoded(file) == "photo.png image/png 5"
    for mode in ("RGB", "RGBA", "L", "CMYK", "F"):
        name, kind, size = (await encoded(Image.new(mode, (2, 2)))).split()
        assert (name, kind) == ("image.png", "image/png")
        assert int(size) > 50


async def test_an_error_suggests_a_conversion() -> None:
    import pandas as pd

    prediction = Prediction(id="p1", status="succeeded")
    for value, advice in (
        (prediction, r"is a Prediction\. Pass its \.output"),
        (Training(id="t1", status="succeeded"), r"is a Training\. Pass its \.output"),
        (BatchResult(index=0, input={}), r"is a BatchResult\. Pass its \.output"),
        (Page(results=(prediction,)), r"is a Page\. Pass the \.output of one of its items"),
        (File(id="f1"), r"is a File\. Pass its \.urls\.get"),
        (Hardware(sku="cpu"), r"is a Hardware\. Pass one of its fields"),
        (timedelta(1), r"Pass its total_seconds\(\)"),
        (pd.DataFrame({"a": [1]}), r"Pass its to_dict\(\), or use client\.map\(\)"),
        (len, "Pass its result: call it first"),
        (1j, r"file: 1j$"),
    ):
        with pytest.raises(TypeError, match=rf"(?s)^input\['value'\] .*{advice}"):
            await encoded(value)
    for value in (prediction, Page(results=()), BatchResult(index=0, input={})):
        with pytest.raises(TypeError, match=r"^input must be a mapping .*Pass .*\.output"):
            as_mapping(value)
    for value in (float("nan"), np.float64("nan"), np.array([float("inf")]), Decimal("NaN")):
        with pytest.raises(ValueError, match="which JSON cannot represent"):
            await encoded(value)


def test_an_input_may_be_any_object_with_fields() -> None:
    import pandas as pd

    frame = pd.DataFrame({"width": [64, 32], "text": ["a", None], "size": [1.5, float("nan")]})
    _, first = next(frame.iterrows())
    rows = list(frame.itertuples())
    for value, expected in (
        (Settings(), {"width": 64, "content": b"x"}),
        (Dataclass(), {"width": 64}),
        (Attrs(), {"width": 64}),
        (Named(64), {"width": 64}),
        (first, {"width": 64, "text": "a", "size": 1.5}),
        (rows[1], {"width": 32}),
    ):
        assert as_mapping(value) == expected
    mapping = {"text": "a"}
    assert as_mapping(mapping) is mapping
    for wrong in (5, "text", None, [1], Settings, (1, 2)):
        with pytest.raises(TypeError, match="input must be a mapping"):
            as_mapping(wrong)


class Rows:
    """A minimal stand-in for a data set of Hugging Face."""

    features = column_names = ("width",)

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter([{"width": 64, "text": "a"}, {"width": 32, "text": None}])


def test_tables_are_read_by_row_without_missing_values() -> None:
    import pandas as pd
    import pyarrow as pa

    columns = {"width": [64, 32], "text": ["a", None]}
    table = pa.table(columns)
    for inputs in (
        pd.DataFrame(columns),
        pd.DataFrame({**columns, "at": [pd.NaT, pd.NaT], "n": pd.array([pd.NA, pd.NA], "Int64")}),
        table,
        table.to_batches()[0],
        Rows(),
    ):
        rows = rows_of(inputs)
        assert len(rows) == 2
        for _ in range(2):
            assert list(rows) == [{"width": 64, "text": "a"}, {"width": 32}]
    plain = [{"width": 1}]
    assert rows_of(plain) is plain


async def test_map_accepts_a_data_frame(scripted_client: Any, fake_server: FakeServer) -> None:
    import pandas as pd

    def response(request: Received) -> Reply:
        if request.method == "POST":
            return reply(prediction("succeeded", output=request.json["input"]), 201)
        return reply({"results": []})

    fake_server.respond_with(response)
    frame = pd.DataFrame({"width": np.array([64, 32]), "text": ["a", None]})
    async with scripted_client.map("owner/name", frame, ordered=True) as results:
        assert results.progress.total == 2
        found = [result async for result in results]
    assert [result.output for result in found] == [{"width": 64, "text": "a"}, {"width": 32}]
    assert [result.input for result in found] == [result.output for result in found]
    models = [
        Settings(width=1, content=b""),
        Prediction(id="p1", status="failed"),
        {"n": iter([1])},
    ]
    async with scripted_client.map("owner/name", models, ordered=True) as results:
        first, wrong, last = [result async for result in results]
    assert first.output["width"] == 1
    assert last.input == last.output == {"n": [1]}
    with pytest.raises(TypeError, match="Pass its .output"):
        _ = wrong.output


LETTERS = "abcdefghijklmnopqrstuvwxyz"


@functools.cache
def fingerprint_and_imports() -> list[str]:
    """Encode an input with sets in another process, which iterates over them in another order.

    Returns:
        The fingerprint of the input, and the names of the libraries that the process imported.
    """
    program = (
        "import sys\n"
        "from dashscope import Client\n"
        "from dashscope._batch.checkpoint.fingerprint import input_fingerprint\n"
        "from dashscope._files import inputs\n"
        "from dashscope._runtime.drive import drive\n"
        "from dashscope._runtime.sync_runtime import SyncRuntime\n"
        "runtime = SyncRuntime(lambda value: value)\n"
        f"input = {{'tags': set({LETTERS!r}), 'deep': {{frozenset({LETTERS!r})}}}}\n"
        "drive(inputs.encode(input, runtime, None))\n"
        "print(drive(input_fingerprint(input, runtime)).hex())\n"
        "print(*{'numpy', 'pandas', 'PIL', 'pydantic', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


async def test_iterators_are_read_once_and_fingerprints_are_stable(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    with (tmp_path / "a.txt").open("rb") as opened:
        input = {"ids": (n for n in (1, 2)), "deep": [{"x": map(str, "ab")}], "file": opened}
        found = settled(input)
        assert found == {"ids": [1, 2], "deep": [{"x": ["a", "b"]}], "file": opened}
        assert settled(found) is found
        first = await input_fingerprint(found, RUNTIME)
        assert await input_fingerprint(found, RUNTIME) == first
    sets = {"tags": set(LETTERS), "deep": {frozenset(LETTERS)}}
    assert (await input_fingerprint(sets, RUNTIME)).hex() == fingerprint_and_imports()[0]


def test_a_model_function_checks_the_converted_value() -> None:
    schema = {"components": {"schemas": {"Input": {"properties": {
        "width": {"type": "integer", "maximum": 100}, "image": {"type": "string", "format": "uri"},
        "tags": {"type": "array", "items": {"type": "string"}},
    }}}}}  # fmt: skip
    model = schema_of(Version(id="v1", openapi_schema=schema))
    for value in (np.int64(64), 7.0, Decimal(7), Size.SMALL):
        check(model, "owner/name", {"width": value})
    check(model, "owner/name", {"image": Image.new("RGB", (1, 1)), "tags": {"a"}})
    wrong: list[tuple[Any, type[Exception]]]
    wrong = [(np.int64(101), ValueError), (7.5, TypeError), (np.float64(7.5), TypeError)]
    for value, error in wrong:
        with pytest.raises(error, match="width must be"):
            check(model, "owner/name", {"width": value})


def test_no_library_is_imported_for_inputs() -> None:
    assert fingerprint_and_imports()[1:] == []
