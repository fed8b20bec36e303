"""`dashscope batch`: run a model over the rows of a file."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import click
from attrs import asdict, define

from dashscope import (
    BatchProgress,
    BatchResult,
    CheckpointError,
    Client,
    FileError,
    Version,
    progress_bar,
)
from dashscope._batch.checkpoint.location import parse
from dashscope._common.logging import logger
from dashscope._common.urls import Reference
from dashscope.cli.commands import REF, SOME_FAILED, command
from dashscope.cli.inputs import (
    PAIRS,
    STDIN,
    Pair,
    check_pairs,
    complete_file,
    inputs_of,
    known_inputs,
    version_of,
)
from dashscope.cli.outputs import OVERWRITE, check_target
from dashscope.cli.results import Failures, Results, count_results, results
from dashscope.cli.rows import Rows, format_of, open_rows
from dashscope.cli.session import open_session
from dashscope.cli.terminal import Terminal, counted

FAILURES: Final = ".failures.jsonl"
"""The suffix of the file with the failed rows; the rest is the name of the results."""


@define
class Summary:
    """The counts of a batch, and where its files are."""

    done: int = 0
    failed: int = 0
    from_checkpoint: int = 0
    predict_seconds: float = 0.0
    seconds: float = 0.0
    results: str | None = None
    failures: str | None = None

    def add(self, result: BatchResult) -> None:
        """Count a result."""
        self.done += result.ok
        self.failed += not result.ok
        self.from_checkpoint += result.from_checkpoint
        metrics = None if result.prediction is None else result.prediction.metrics
        self.predict_seconds += 0.0 if metrics is None else metrics.predict_time or 0.0

    def __str__(self) -> str:
        count = self.done + self.failed
        before = f" ({self.from_checkpoint} from the checkpoint)" if self.from_checkpoint else ""
        return (
            f"{counted(count, 'row')}{before}: {self.done} done, {self.failed} failed, "
            f"in {self.seconds:.1f} s; {self.predict_seconds:.1f} predict seconds."
        )


def _batch(
    terminal: Terminal,
    *,
    ref: Reference,
    source: str,
    pairs: Sequence[Pair],
    output: str | None,
    failures: str | None,
    overwrite: bool,
    checkpoint: str | None,
    file_keys: Sequence[str],
    ray: str | None,
    key: str | None,
    **options: Any,
) -> None:
    check_pairs(pairs)
    if ray is not None:
        from dashscope.cli.ray_batch import run_on_ray

        if failures is not None:
            raise click.UsageError("--failures does not apply to --ray: see the column error")
        run_on_ray(
            terminal,
            address=ray,
            ref=ref,
            source=source,
            pairs=pairs,
            output=output,
            overwrite=overwrite,
            checkpoint=checkpoint,
            key=key,
            file_keys=file_keys,
            **options,
        )
        return
    if key is not None:
        raise click.UsageError("--key requires --ray")
    if source == STDIN and any(pair.file == STDIN for pair in pairs):
        raise click.UsageError("stdin can be read only once, and it contains the rows")
    output = None if output == STDIN else output
    if failures is None and output is not None:
        failures = str(Path(output).with_suffix(FAILURES))
    format_of(output or STDIN, "written")
    kept = _check_paths(source, output, failures, checkpoint, overwrite=overwrite)
    rows = open_rows(source, files=file_keys)
    target = results(output or STDIN, rows.columns, kept=kept)
    with ExitStack() as stack:
        # A server that stops with the command could not resume from a checkpoint.
        session = stack.enter_context(open_session(terminal, own_server=checkpoint is None))
        client = session.client
        _look_up(client, ref, rows, pairs)
        batch = client.map(
            str(ref),
            rows,
            checkpoint=checkpoint,
            progress=_bar(terminal, to_file=output is not None),
            file_encoding="upload",
            **options,
        )
        # Lock the checkpoint before writing files: another command may be using them.
        stack.enter_context(batch)
        failed = stack.enter_context(Failures(failures, target))
        stack.enter_context(target)
        summary = Summary(results=output)
        with _explained(summary, target, checkpoint), _warnings(terminal):
            for result in batch:
                _write(target, result)
                failed.add(result)
                summary.add(result)
        summary.seconds = batch.progress.elapsed
        summary.failures = failed.written
    typed = [f"{pair.key}={pair.value}" for pair in pairs]
    _report(terminal, summary, [str(ref), *typed, *(f"--file={key}" for key in file_keys)])
    if summary.failed:
        for key in sorted(rows.not_urls):
            terminal.note(f"{key} takes a file or a URL: to send files, add --file={key}.")
        raise click.exceptions.Exit(SOME_FAILED)


def _write(target: Results, result: BatchResult) -> None:
    try:
        target.write(result)
    except FileError as error:
        if result.prediction is not None:
            id = result.prediction.id
            error.add_note(f"The result of row {result.index}: dashscope predictions get {id}")
        raise


def _look_up(client: Client, ref: Reference, rows: Rows, pairs: Sequence[Pair]) -> None:
    """Check that the model exists, and read the inputs with its schema."""
    model = client.models.get(ref.owner, ref.name)

    def version() -> Version | None:
        return model.latest_version if ref.version is None else version_of(client, ref)

    rows.known = known_inputs(version)
    rows.base = inputs_of(pairs, None, version)


def _check_paths(
    source: str,
    output: str | None,
    failures: str | None,
    checkpoint: str | None,
    *,
    overwrite: bool,
) -> int:
    """Check that the files can be written and are different files.

    Returns:
        The number of results of an earlier call in the results file, if this call resumes it.
    """
    is_database = checkpoint is not None and parse(checkpoint).kind == "database"
    paths = {
        "rows": source,
        "results": output,
        "failures": failures,
        "checkpoint": None if is_database else checkpoint,
    }
    seen: dict[str, str] = {}
    for role, path in paths.items():
        if path is None or path == STDIN:
            continue
        real = os.path.realpath(path)
        if real in seen:
            raise click.UsageError(f"{path} cannot be both the {seen[real]} and the {role}")
        seen[real] = role
    resumes = checkpoint is not None and (is_database or Path(checkpoint).exists())
    kept: int | None = 0
    for path in filter(None, (output, failures)):
        if Path(path).is_dir():
            raise FileError(f"{path} is a folder, not a file")
        if resumes and path == output and Path(path).exists() and not overwrite:
            kept = count_results(Path(path))
            if kept is None:
                raise FileError(
                    f"{path} does not contain results of a batch. To replace it, pass --overwrite"
                )
        else:
            check_target(path, overwrite=overwrite or resumes)
    return kept or 0


@contextmanager
def _explained(summary: Summary, target: Results, checkpoint: str | None) -> Generator[None]:
    """Add to an error what is finished and how to resume."""
    try:
        yield
    except BaseException as error:
        count = summary.done + summary.failed
        where = "" if summary.results is None else f" Results are in {summary.results}."
        if target.has_replaced:
            error.add_note(f"{counted(count, 'row')} finished.{where}")
        else:
            error.add_note(f"{target.path} is unchanged.")
        if checkpoint is not None and not isinstance(error, CheckpointError):
            error.add_note("To resume, run the same command again.")
        raise


class _Warnings(logging.Handler):
    """Prints warnings of the library, for example about rows that are missing."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.WARNING)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning."""
        self._terminal.note(f"warning: {record.getMessage()}")


@contextmanager
def _warnings(terminal: Terminal) -> Generator[None]:
    handler = _Warnings(terminal)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _bar(terminal: Terminal, *, to_file: bool) -> Callable[[BatchProgress], None] | None:
    """Return a progress bar, unless stderr is no terminal or the results are on it."""
    if not terminal.shows_progress or (terminal.out.is_terminal and not to_file):
        return None
    return progress_bar("rows", console=terminal.err)


def _report(terminal: Terminal, summary: Summary, typed: Sequence[str]) -> None:
    if terminal.as_json and summary.results is not None:
        terminal.line(asdict(summary))
    if summary.done + summary.failed == 0:
        terminal.note("There are no rows. Nothing was run.")
        return
    terminal.note(str(summary))
    if summary.failures is not None:
        ref, *more = typed
        again = shlex.join(["dashscope", "batch", ref, summary.failures, *more])
        terminal.note(f"The failed rows are in {summary.failures}. To run them again:")
        terminal.note(f"  {again}")


batch = command(
    "batch",
    _batch,
    REF,
    click.Argument(["source"], metavar="ROWS", shell_complete=complete_file),
    PAIRS,
    click.Option(
        ["-o", "--output"],
        metavar="FILE",
        shell_complete=complete_file,
        help="The results: .jsonl, .csv or .parquet. Default: stdout.",
    ),
    click.Option(
        ["--failures"],
        metavar="FILE.jsonl",
        shell_complete=complete_file,
        help="The failed rows. Default: next to the results.",
    ),
    OVERWRITE,
    click.Option(
        ["--checkpoint"],
        metavar="FILE|FOLDER/|URL",
        shell_complete=complete_file,
        help="Save progress here, so that the same command resumes.",
    ),
    click.Option(
        ["--concurrency"],
        type=click.IntRange(1),
        default=32,
        show_default=True,
        help="The maximum number of predictions that run at once.",
    ),
    click.Option(
        ["--max-rate"],
        type=click.FloatRange(min=0, min_open=True),
        help="The maximum number of predictions to create per second.",
    ),
    click.Option(["--ordered"], is_flag=True, help="Write the results in the order of the rows."),
    click.Option(
        ["--timeout"],
        type=click.FloatRange(min=0, min_open=True),
        help="Seconds until a prediction is canceled.",
    ),
    click.Option(
        ["--file", "file_keys"],
        metavar="KEY",
        multiple=True,
        help="An input that is the path of a file to send. Can be repeated.",
    ),
    click.Option(
        ["--on-unknown"],
        type=click.Choice(["error", "recreate"]),
        default="error",
        show_default=True,
        help="What to do if it is unknown whether a prediction was created.",
    ),
    click.Option(
        ["--ray"],
        metavar="ADDRESS",
        help="Run on a Ray cluster: an address, auto or local. Then -o is a folder.",
    ),
    click.Option(["--key"], metavar="COLUMN", help="The column that identifies a row, with --ray."),
    help="""Run a model over the rows of a file.

    ROWS is a JSON lines, CSV or Parquet file, or - for JSON lines on stdin. A row is an object of
    inputs. The model's schema defines the types of CSV cells; empty cells are omitted. KEY=VALUE
    is a default for all rows.

    Each row has a result with index, status, input, output, error, prediction and predict_time.
    CSV and Parquet have the row's own columns, then index, status, output, error, prediction_id
    and predict_time.

    Ctrl-C cancels running predictions. With --checkpoint, the same command then resumes: it does
    not create finished or running predictions again, and writes each result once. The exit code
    is 5 if rows failed.""",
    examples=(
        "dashscope batch dashscope/hello-world rows.jsonl -o out.jsonl --concurrency 64",
        "dashscope batch dashscope/hello-world in.csv -o out.csv --checkpoint in.sqlite",
        "dashscope batch dashscope/thumbnail a.csv --file image width=64 -o out.parquet",
        "cat rows.jsonl | dashscope batch dashscope/hello-world - > results.jsonl",
    ),
)
