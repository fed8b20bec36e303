"""A model as a function of partitions, for Ray, Spark, Dask, Daft, pandas, Polars and others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, cast

from attrs import evolve, frozen

from dashscope import AsyncClient, BatchResult
from dashscope._batch.batch import AsyncBatch
from dashscope._batch.checkpoint.fingerprint import input_fingerprint
from dashscope._batch.checkpoint.keys import row_key
from dashscope._batch.checkpoint.location import Location
from dashscope._batch.options import OnUnknown
from dashscope._batch.options import check as check_options
from dashscope._batch.permits import SharedRate
from dashscope._common.json import is_mapping, is_sequence
from dashscope._common.urls import Reference
from dashscope._common.validation import check_choice, shown
from dashscope._files.inputs import FileEncoding
from dashscope.integrations import _partitions
from dashscope.integrations._driver import cancel_on_interrupt, forget, prepare
from dashscope.integrations._partitions import Column, Partition
from dashscope.integrations._saving import save_files
from dashscope.integrations._worker import TOKEN, check_token, worker

__all__ = ["ModelUdf", "udf"]

Inputs: TypeAlias = Mapping[str, str] | Callable[[Mapping[str, Any]], Mapping[str, Any]]
COLUMNS: Final = ("error", "prediction_id", "seconds")
"""The columns that are added besides the output."""


def udf(
    ref: str,
    *,
    inputs: Inputs,
    output: str = "output",
    checkpoint: str | os.PathLike[str] | None = None,
    concurrency: int = 32,
    max_rate: float | SharedRate | None = None,
    timeout: float | None = None,
    key: str | Sequence[str] | None = None,
    on_error: Literal["column", "raise"] = "column",
    on_unknown: OnUnknown = "error",
    save_to: str | os.PathLike[str] | None = None,
    resume: bool = True,
    file_encoding: FileEncoding = "auto",
    base_url: str | None = None,
    client: Callable[[], AsyncClient] | None = None,
) -> ModelUdf:
    """Return a model as a function of a partition, which an engine can ship to its workers.

    The function takes a pandas or Polars DataFrame, a pyarrow Table or RecordBatch, a list of
    dicts, a dict of columns, or an iterator of these. It returns the same kind with four more
    columns: `output`, `error`, `prediction_id` and `seconds`. Each worker process creates one
    client, with the token from its own environment.

    With a `checkpoint`, a partition that the engine runs again creates no prediction twice, even if
    its first worker was killed. A row is identified by the model and its inputs, and by `key`.

    Args:
        ref: The model, as `owner/name` or `owner/name:version`.
        inputs: The columns that the model's inputs come from, as `{"input": "column"}`, or a
            function that returns the inputs of a row. Empty cells are omitted.
        output: The name of the column for the output. In formats whose columns have one type
            (Arrow, Polars, Spark), an output that is not text becomes JSON text.
        checkpoint: The path of a folder that all workers share, or the URL of a PostgreSQL
            database. A path that does not end in `/` is a file for a single worker process.
        concurrency: How many predictions each call may have in flight.
        max_rate: How many predictions each call may create per second, or an object with
            `acquire(count)` that all workers share.
        timeout: Seconds that each prediction may take. Defaults to no limit.
        key: A column or columns that identify a row together with its inputs. Without a key, rows
            with equal inputs share a prediction.
        on_error: `column` puts the error of a row into the column `error`. `raise` raises it.
        on_unknown: What to do with a row whose prediction may have been created just before a
            worker was killed, if the server's list omits the inputs: `error` or `recreate`.
        save_to: A folder, or a prefix such as `s3://bucket/images` (requires `fsspec`). File
            outputs are written there, and the output column contains their new addresses.
        resume: `False` creates rows again that earlier runs have finished.
        file_encoding: How to send files in inputs: `data-uri`, `upload`, or `auto`.
        base_url: The API's address. Defaults to the driver's `DASHSCOPE_BASE_URL`.
        client: A picklable function that creates the client in each worker process.

    Returns:
        The function. As a context manager it cancels the unfinished predictions if the block ends
        with an exception.

    Raises:
        CheckpointError: If the checkpoint cannot be used.
        ValueError: If an argument is invalid.

    Example:
        ```python
        from dashscope.integrations.dataframes import udf

        greet = udf("dashscope/hello-world", inputs={"text": "name"}, checkpoint="run/")
        rows = greet([{"name": "Alice"}, {"name": "Bob"}])
        print(rows[0]["output"])
        ```

    Endpoints: those of `client.map()`.
    """
    check_choice("on_error", on_error, ("column", "raise"))
    if not callable(inputs) and not isinstance(inputs, Mapping):
        raise TypeError(f"inputs must be a mapping or a function of a row, not {shown(inputs)}")
    if not isinstance(resume, bool):
        raise TypeError(f"resume must be True or False, not {shown(resume)}")
    keys = (key,) if isinstance(key, str) else tuple(key) if is_sequence(key) else ()
    if key is not None and not all(isinstance(name, str) for name in keys or (None,)):
        raise TypeError(f"key must be a column or a sequence of columns, not {shown(key)}")
    Reference.parse(ref)
    location = None if checkpoint is None else prepare(checkpoint, ref, resume=resume)
    if location is None and not resume:
        raise ValueError("resume requires a checkpoint: pass checkpoint='run/'")
    model = ModelUdf(
        ref=ref,
        inputs=dict(inputs.items()) if is_mapping(inputs) else inputs,
        output=output,
        location=location,
        key=keys,
        on_error=on_error,
        save_to=None if save_to is None else os.fspath(save_to),
        base_url=base_url or os.environ.get("DASHSCOPE_BASE_URL") or None,
        needs_token=bool(os.environ.get(TOKEN)),
        make=client,
        options={
            "concurrency": concurrency,
            "max_rate": max_rate,
            "timeout": timeout,
            "on_unknown": on_unknown,
            "file_encoding": file_encoding,
        },
    )
    model.check()
    if location is not None and location.is_shared:
        cancel_on_interrupt(model)
    return model


@frozen(kw_only=True, eq=False)
class ModelUdf:
    """A model as a function of a partition. `udf()` creates it. It can be pickled."""

    ref: str
    inputs: Inputs
    output: str
    location: Location | None
    key: tuple[str, ...]
    on_error: Literal["column", "raise"]
    save_to: str | None
    base_url: str | None
    needs_token: bool
    make: Callable[[], AsyncClient] | None
    options: Mapping[str, Any]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that are added."""
        return (self.output, *COLUMNS)

    def __call__(self, partition: Any) -> Any:
        """Run the model over the rows of a partition.

        Args:
            partition: The partition, or an iterator of partitions.

        Returns:
            A partition of the same kind with the columns `output`, `error`, `prediction_id` and
            `seconds`, or an iterator.

        Raises:
            ValueError: If a column is missing, or if a column of the result exists already.
            CheckpointError: If the checkpoint cannot be used.

        Example:
            ```python
            from dashscope.integrations.dataframes import udf

            greet = udf("dashscope/hello-world", inputs={"text": "name"})
            print(greet([{"name": "Alice"}]))
            ```

        Endpoints: those of `client.map()`.
        """
        if _partitions.is_iterator(partition):
            return self._each(partition)
        return worker.run(lambda: self.run_async(partition))

    def _each(self, partitions: Iterator[Any]) -> Iterator[Any]:
        for partition in partitions:
            yield worker.run(partial(self.run_async, partition, as_text=True))

    async def run_async(self, partition: Any, *, as_text: bool = False) -> Any:
        """Run the model over the rows of a partition, in a coroutine.

        Args:
            partition: The partition.
            as_text: Whether outputs that are not text become JSON text also in pandas.

        Returns:
            A partition of the same kind with more columns.

        Raises:
            ValueError: If a column is missing, or if a column of the result exists already.
            CheckpointError: If the checkpoint cannot be used.

        Example: see `dashscope docs scaling-out`.

        Endpoints: those of `client.map()`.
        """
        opened = _partitions.open_partition(partition, as_text=as_text)
        self._check_columns(opened)
        client = self._client()
        cells = await self._cells(client, opened)
        return opened.extend(
            {
                name: Column([row[name] for row in cells], is_number=name == "seconds")
                for name in self.columns
            }
        )

    def _client(self) -> AsyncClient:
        make = self.make
        if make is not None:
            return worker.client(make, make)
        if self.needs_token:
            check_token()
        key = (self.base_url, os.environ.get(TOKEN))
        return worker.client(key, lambda: AsyncClient(base_url=self.base_url))

    def _check_columns(self, partition: Partition) -> None:
        needed = {*self.key, *(() if callable(self.inputs) else self._named.values())}
        names = set(partition.columns if partition.columns is not None else ())
        if partition.columns is None:
            for row in partition.rows:
                names |= row.keys()
        missing = sorted(needed - names)
        # Engines pass a partition of an empty dataset without columns.
        if missing and (partition.columns or partition.rows):
            raise ValueError(
                f"the partition has no column {', '.join(map(repr, missing))}, which {self.ref} "
                f"needs. Its columns are {', '.join(map(repr, sorted(names)))}."
            )
        taken = sorted(names & set(self.columns))
        if taken:
            raise ValueError(
                f"the partition has a column {taken[0]!r} already. Rename it, or pass another name "
                "for the output as output=."
            )

    async def _cells(self, client: AsyncClient, partition: Partition) -> list[dict[str, Any]]:
        """Return the new cells of each row. Rows with equal keys share a prediction."""
        empty = dict.fromkeys(self.columns)
        cells: list[dict[str, Any]] = [empty] * len(partition.rows)
        places: dict[bytes, list[int]] = {}
        distinct: list[Mapping[str, Any]] = []
        for place, row in enumerate(partition.rows):
            try:
                input = self._input(row)
                fingerprint = await input_fingerprint(input, client._api.runtime)  # pyright: ignore[reportPrivateUsage]
            except (TypeError, ValueError, OSError) as error:
                if self.on_error == "raise":
                    raise
                cells[place] = {**empty, "error": str(error)}
                continue
            same = places.setdefault(self._key(row, fingerprint), [])
            if not same:
                distinct.append(input)
            same.append(place)
        batch = self._batch(client, distinct, list(places))
        groups = list(places.values())
        async with batch as results:
            async for result in results:
                made = await self._row_cells(client, result)
                for place in groups[result.index]:
                    cells[place] = made
        return cells

    def _input(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        if callable(self.inputs):
            found = self.inputs(row)
            if not isinstance(found, Mapping):
                raise TypeError(f"inputs= returned {shown(found)}, not a mapping of inputs")
            return {name: _partitions.plain(value) for name, value in found.items()}
        return {
            name: _partitions.plain(value)
            for name, column in self._named.items()
            if not _partitions.is_missing(value := row.get(column))
        }

    @property
    def _named(self) -> Mapping[str, str]:
        """The columns of the inputs, if they are not a function."""
        return cast("Mapping[str, str]", self.inputs)

    def _key(self, row: Mapping[str, Any], fingerprint: bytes) -> bytes:
        salt = None if self.location is None else self.location.salt
        if not self.key:
            return row_key(self.ref, fingerprint, [salt, 0])
        values = [str(_partitions.plain(row.get(name))) for name in self.key]
        return row_key(self.ref, fingerprint, [salt, values])

    def check(self) -> None:
        """Check the arguments.

        Raises:
            ValueError: If an argument has an invalid value.
            TypeError: If an argument has the wrong type.
        """
        self._options()

    def _options(self) -> Any:
        # Without a checkpoint here, because the location is known already.
        options: dict[str, Any] = {**self.options, "on_unknown": "error"}
        checked = check_options(
            self.ref,
            ordered=False,
            checkpoint=None,
            resume="yield",
            on_error="yield" if self.on_error == "column" else "raise",
            progress=None,
            use_file_output=self.save_to is not None,
            poll_interval=None,
            check=_unchecked,
            **options,
        )
        return evolve(checked, on_unknown=self.options["on_unknown"], checkpoint=self.location)

    def _batch(
        self, client: AsyncClient, inputs: Sequence[Mapping[str, Any]], keys: Sequence[bytes]
    ) -> AsyncBatch:
        function = client.use(self.ref)
        options = evolve(
            self._options(),
            keys=None if self.location is None else keys,
            check=function._row,  # pyright: ignore[reportPrivateUsage]
        )
        return AsyncBatch(client._api, inputs, options)  # pyright: ignore[reportPrivateUsage]

    async def _row_cells(self, client: AsyncClient, result: BatchResult) -> dict[str, Any]:
        prediction, error = result.prediction, result.error
        output = result.output if error is None else None
        if self.save_to is not None and prediction is not None and error is None:
            try:
                runtime = client._api.runtime  # pyright: ignore[reportPrivateUsage]
                output = await save_files(runtime, self.save_to, prediction, output)
            except Exception as failure:
                if self.on_error == "raise":
                    raise
                output, error = None, failure
        metrics = None if prediction is None else prediction.metrics
        return {
            self.output: output,
            "error": None if error is None else str(error),
            "prediction_id": None if prediction is None else prediction.id,
            "seconds": None if metrics is None else metrics.predict_time,
        }

    def spark_schema(self, schema: Any) -> Any:
        """Return the schema of the result for `mapInPandas` and `mapInArrow`.

        Args:
            schema: The schema of the DataFrame, such as `df.schema`.

        Returns:
            The schema with the columns that are added.

        Example: see `dashscope docs scaling-out`.
        """
        kinds = import_module("pyspark.sql.types")
        fields = list(schema.fields)
        for name in self.columns:
            kind = kinds.DoubleType() if name == "seconds" else kinds.StringType()
            fields.append(kinds.StructField(name, kind, nullable=True))
        return kinds.StructType(fields)

    def dask_meta(self, frame: Any) -> Any:
        """Return an empty frame with the columns of the result, for `map_partitions`.

        Args:
            frame: The Dask DataFrame.

        Returns:
            An empty pandas DataFrame.

        Example: see `dashscope docs scaling-out`.
        """
        series = import_module("pandas").Series
        meta = frame._meta
        kinds = {name: "float64" if name == "seconds" else "object" for name in self.columns}
        return meta.assign(
            **{name: series([], index=meta.index, dtype=kind) for name, kind in kinds.items()}
        )

    def polars_schema(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return the schema of the result for `LazyFrame.map_batches`.

        Args:
            schema: The schema of the LazyFrame, such as `lazy.collect_schema()`.

        Returns:
            The schema with the columns that are added.

        Example: see `dashscope docs scaling-out`.
        """
        polars = import_module("polars")
        kinds = {
            name: polars.Float64 if name == "seconds" else polars.String for name in self.columns
        }
        return {**schema, **kinds}

    def cancel(self) -> int:
        """Cancel the predictions that the workers of this run have not finished.

        The workers create no further predictions. The driver calls this on Ctrl-C. Call it in a
        notebook, or use the function as a context manager.

        Returns:
            How many predictions were canceled.

        Raises:
            ValueError: If the workers share no checkpoint.
            CheckpointError: If the checkpoint cannot be read.

        Example:
            ```python
            from dashscope.integrations.dataframes import udf

            greet = udf("dashscope/hello-world", inputs={"text": "name"}, checkpoint="run/")
            print(greet.cancel())
            ```

        Endpoint: `POST /predictions/{prediction_id}/cancel`.
        """
        from dashscope._batch.canceling import cancel_run

        if self.location is None or not self.location.is_shared:
            raise ValueError("cancel() requires a checkpoint that the workers share")
        forget(self)
        location = self.location
        api = self._client()._api  # pyright: ignore[reportPrivateUsage]
        return worker.run(lambda: cancel_run(api, self.ref, location))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and self.location is not None and self.location.is_shared:
            self.cancel()


async def _unchecked(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Stand in for the check against the schema, which needs a client."""
    return row
