"""`dashscope batch --ray`: run a model over files on a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, Final

import click
from attrs import frozen

from dashscope import ConfigurationError, FileError
from dashscope._common.installing import install_command
from dashscope._common.urls import Reference
from dashscope.cli.commands import SOME_FAILED
from dashscope.cli.inputs import (
    UNKNOWN,
    InputType,
    Pair,
    fitted,
    inputs_of,
    known_inputs,
    read,
    version_of,
)
from dashscope.cli.session import open_session
from dashscope.cli.terminal import Terminal, counted
from dashscope.integrations.dataframes import udf
from dashscope.integrations.ray import BATCH_SIZE, BATCHES_AT_ONCE, map_dataset, shared_rate

READERS: Final = {".parquet": "read_parquet", ".csv": "read_csv", ".jsonl": "read_json"}
"""The functions of `ray.data` that read files, by extension."""


@frozen
class RowInputs:
    """Returns the inputs of a row. It can be pickled.

    Attributes:
        base: The default inputs.
        known: The types of the model's inputs. Other columns are no inputs, unless it is empty.
        files: The inputs that are the paths of files to send.
        is_csv: Whether the cells are text.
    """

    base: Mapping[str, Any]
    known: Mapping[str, InputType]
    files: frozenset[str]
    is_csv: bool

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs of a row. Empty cells are omitted."""
        found = dict(self.base)
        for name, value in row.items():
            if value is None or (self.is_csv and value == ""):
                continue
            if self.known and name not in self.known:
                continue
            kinds = self.known.get(name, UNKNOWN).kinds
            if name in self.files:
                found[name] = Path(value)
            elif self.is_csv and isinstance(value, str):
                found[name] = read(value, kinds)
            else:
                found[name] = fitted(value, kinds)
        return found


def run_on_ray(
    terminal: Terminal,
    *,
    address: str,
    ref: Reference,
    source: str,
    pairs: Sequence[Pair],
    output: str | None,
    overwrite: bool,
    checkpoint: str | None,
    key: str | None,
    file_keys: Sequence[str],
    concurrency: int,
    max_rate: float | None,
    ordered: bool,
    timeout: float | None,
    on_unknown: Any,
) -> None:
    """Run a model over files. The results are Parquet files in the folder `output`."""
    if output is None:
        raise click.UsageError("--ray needs a folder for the results: pass -o out/")
    reader = READERS.get(Path(source.partition("?")[0]).suffix.lower())
    if reader is None:
        raise FileError(f"{source} cannot be read: the extension has to be {', '.join(READERS)}")
    filesystem, paths = _files(source)
    # Absolute, because the workers have other working directories.
    target, folder = import_module("pyarrow.fs").FileSystem.from_uri(_uri(output))
    record = f"{folder.rstrip('/')}.ray-checkpoint"
    if _has_results(target, folder, record, overwrite=overwrite, resumes=key is not None):
        raise FileError(f"{output} contains results. To replace them, pass --overwrite")
    with open_session(terminal) as session:
        client = session.client
        model = client.models.get(ref.owner, ref.name)
        version = model.latest_version if ref.version is None else version_of(client, ref)
        known = known_inputs(lambda: version)
        is_csv = reader == "read_csv"
        base = inputs_of(pairs, None, lambda: version)
        inputs = RowInputs(base, known, frozenset(file_keys), is_csv)
        data = _connect(address)
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = ordered
        if key is not None:
            config = import_module("ray.data.checkpoint").CheckpointConfig
            # Ray skips rows that an earlier run has written. Its record is next to the results.
            context.checkpoint_config = config(
                id_column=key,
                checkpoint_path=record,
                override_filesystem=target,
                delete_checkpoint_on_success=False,  # the same command later adds new rows
            )
        function = udf(
            str(ref),
            inputs=inputs,
            key=key,
            checkpoint=checkpoint,
            concurrency=max(1, concurrency // BATCHES_AT_ONCE),
            max_rate=None if max_rate is None else shared_rate(max_rate),
            timeout=timeout,
            on_unknown=on_unknown,
        )
        began = time.monotonic()
        with function:
            options = _as_text(known) if is_csv else {}
            rows = getattr(data, reader)(paths, filesystem=filesystem, **options)
            results = map_dataset(rows, function, workers=(1, 8), batch_size=BATCH_SIZE)
            results.write_parquet(folder, filesystem=target)
        counts = _counts(target, folder)
        _report(terminal, output, *counts, seconds=time.monotonic() - began)


def _files(source: str) -> tuple[Any, str | list[str]]:
    """Return the file system of a source, and its path or the paths that match its pattern."""
    fs = import_module("pyarrow.fs")
    path, mark, query = source.partition("?")
    wild = min((path.find(sign) for sign in "*[" if sign in path), default=-1)
    if wild < 0:
        found: tuple[Any, str] = fs.FileSystem.from_uri(_uri(source))
        return found
    folder = path[: path.rfind("/", 0, wild) + 1] or "./"
    rest = path.removeprefix(folder)
    filesystem, base = fs.FileSystem.from_uri(_uri(folder) + mark + query)
    selector = fs.FileSelector(base, recursive="/" in rest, allow_not_found=True)
    pattern = str(PurePosixPath(base, rest))
    infos = filesystem.get_file_info(selector)
    files = [info.path for info in infos if info.type == fs.FileType.File]
    paths = sorted(path for path in files if PurePosixPath(path).match(pattern))
    if not paths:
        raise FileError(f"{source} matches no file")
    return filesystem, paths


def _as_text(names: Iterable[str]) -> dict[str, Any]:
    """Return options with which Ray reads columns of CSV files as text, as `RowInputs` expects."""
    arrow, csv = import_module("pyarrow"), import_module("pyarrow.csv")
    types = dict.fromkeys(names, arrow.string())
    return {"convert_options": csv.ConvertOptions(column_types=types)}


def _connect(address: str) -> Any:
    try:
        ray, data = import_module("ray"), import_module("ray.data")
    except ImportError as error:
        raise ConfigurationError(f"Ray is not installed: {install_command('ray')}") from error
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False)
        except ConnectionError as error:
            raise ConfigurationError(
                f"No Ray cluster at {address}: {error}. To start one on this machine: ray start "
                "--head, or pass --ray local."
            ) from error
    return data


def _has_results(
    filesystem: Any, folder: str, record: str, *, overwrite: bool, resumes: bool
) -> bool:
    """Return whether a folder has results, except those of an interrupted run to resume.

    Args:
        filesystem: The file system.
        folder: The folder for the results.
        record: The folder in which Ray records the rows that it has written.
        overwrite: Whether to delete both.
        resumes: Whether results with a record are left to the run.
    """
    fs = import_module("pyarrow.fs")
    infos = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    has_results = any(info.path.endswith(".parquet") for info in infos)
    has_record = filesystem.get_file_info(record).type == fs.FileType.Directory
    if not overwrite:
        return has_results and not (resumes and has_record)
    if has_results:
        filesystem.delete_dir_contents(folder)
    if has_record:
        filesystem.delete_dir(record)
    return False


def _uri(path: str) -> str:
    return path if "://" in path else Path(path).absolute().as_uri()


def _counts(filesystem: Any, folder: str) -> tuple[int, int]:
    """Return the number of rows in the results, and how many of them failed."""
    if filesystem.get_file_info(folder).type != import_module("pyarrow.fs").FileType.Directory:
        return 0, 0
    datasets = import_module("pyarrow.dataset")
    found = datasets.dataset(folder, filesystem=filesystem, format="parquet")
    count: int = found.count_rows()
    failed: int = found.count_rows(filter=datasets.field("error").is_valid()) if count else 0
    return count, failed


def _report(terminal: Terminal, output: str, count: int, failed: int, *, seconds: float) -> None:
    if terminal.as_json:
        terminal.line(
            {"done": count - failed, "failed": failed, "seconds": seconds, "results": output}
        )
    if count == 0:
        terminal.note("There are no rows. Nothing was run.")
        return
    terminal.note(
        f"{counted(count, 'row')}: {count - failed} done, {failed} failed, in {seconds:.1f} s. "
        f"Results are in {output}."
    )
    if failed:
        raise click.exceptions.Exit(SOME_FAILED)
