"""`dashscope batch --ray`: run a model over files on a Ray cluster."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click
from attrs import frozen

from dashscope import ConfigurationError, FileError
from dashscope._common.installing import install_command
from dashscope._common.urls import Reference
from dashscope.cli.commands import SOME_FAILED
from dashscope.cli.inputs import Pair, inputs_of, known_inputs, version_of
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
        names: The columns that are inputs. `None` if all are.
        files: The inputs that are the paths of files to send.
    """

    base: Mapping[str, Any]
    names: frozenset[str] | None
    files: frozenset[str]

    def __call__(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the inputs of a row. Empty cells are omitted."""
        found = dict(self.base)
        for name, value in row.items():
            if value is None or (self.names is not None and name not in self.names):
                continue
            found[name] = Path(value) if name in self.files else value
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
    reader = READERS.get(Path(source).suffix.lower())
    if reader is None:
        raise FileError(f"{source} cannot be read: the extension has to be {', '.join(READERS)}")
    _check_target(output, overwrite=overwrite, resumes=key is not None)
    with open_session(terminal) as session:
        client = session.client
        model = client.models.get(ref.owner, ref.name)
        version = model.latest_version if ref.version is None else version_of(client, ref)
        known = known_inputs(lambda: version)
        inputs = RowInputs(
            inputs_of(pairs, None, lambda: version),
            frozenset(known) or None,
            frozenset(file_keys),
        )
        data = _connect(address)
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = ordered
        if key is not None:
            config = import_module("ray.data.checkpoint").CheckpointConfig
            # Ray skips rows that an earlier run has written. Its record is next to the results.
            context.checkpoint_config = config(id_column=key, checkpoint_path=_record(output))
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
            read = getattr(data, reader)(source)
            results = map_dataset(read, function, workers=(1, 8), batch_size=BATCH_SIZE)
            results.write_parquet(output)
        _report(terminal, output, time.monotonic() - began)


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


def _record(output: str) -> str:
    """Return where Ray records the rows that it has written."""
    return _uri(output).rstrip("/") + ".ray-checkpoint"


def _check_target(output: str, *, overwrite: bool, resumes: bool) -> None:
    """Check that the folder has no results, except those of an interrupted run to resume."""
    fs = import_module("pyarrow.fs")
    filesystem, path = fs.FileSystem.from_uri(_uri(output))
    selector = fs.FileSelector(path, allow_not_found=True)
    infos = filesystem.get_file_info(selector)
    has_results = any(info.path.endswith(".parquet") for info in infos)
    record = f"{path.rstrip('/')}.ray-checkpoint"
    (info,) = filesystem.get_file_info([record])
    has_record = info.type == fs.FileType.Directory
    if overwrite:
        if has_results:
            filesystem.delete_dir_contents(path)
        if has_record:
            filesystem.delete_dir(record)
    elif has_results and not (resumes and has_record):
        raise FileError(f"{output} contains results. To replace them, pass --overwrite")


def _uri(path: str) -> str:
    return path if "://" in path else Path(path).absolute().as_uri()


def _report(terminal: Terminal, output: str, seconds: float) -> None:
    filesystem, path = import_module("pyarrow.fs").FileSystem.from_uri(_uri(output))
    datasets = import_module("pyarrow.dataset")
    found = datasets.dataset(path, filesystem=filesystem, format="parquet")
    count: int = found.count_rows()
    failed: int = found.count_rows(filter=datasets.field("error").is_valid()) if count else 0
    if terminal.as_json:
        terminal.line(
            {"done": count - failed, "failed": failed, "seconds": seconds, "results": output}
        )
    terminal.note(
        f"{counted(count, 'row')}: {count - failed} done, {failed} failed, in {seconds:.1f} s. "
        f"Results are in {output}."
    )
    if failed:
        raise click.exceptions.Exit(SOME_FAILED)
