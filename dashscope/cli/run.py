"""`dashscope run`: run a model, print or save its output."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import click

from dashscope import FileError, FileOutput, Prediction
from dashscope._json import is_array, is_object
from dashscope.cli.inputs import Pair, inputs_of, parse_pair
from dashscope.cli.session import console, session


def _parse_pairs(
    context: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> list[Pair]:
    return [parse_pair(text) for text in value]


@click.command()
@click.argument("ref", metavar="OWNER/NAME[:VERSION]")
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1, callback=_parse_pairs)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=str),
    help="Save the output to this file, or into this folder (ends in /).",
)
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print the output as JSON in one line.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    help="Seconds after which to cancel the prediction.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but the output and errors.")
def run(
    ref: str,
    pairs: list[Pair],
    output: str | None,
    overwrite: bool,
    as_json: bool,
    timeout: float | None,
    quiet: bool,
) -> None:
    """Run a model and print its output.

    Inputs are KEY=VALUE; KEY=@FILE sends a file. Without DASHSCOPE_BASE_URL, and with no
    server at the default address, a local one is started for as long as the command runs.

    \b
    dashscope run dashscope/hello-world text=Alice
    dashscope run dashscope/thumbnail image=@photo.png width=64 -o out/
    """
    with session(quiet=quiet) as (client, is_temporary):
        inputs = inputs_of(client, ref, pairs)
        with _status(ref, quiet=quiet) as tell:
            result = client.run(ref, inputs, timeout=timeout, progress=tell, file_encoding="upload")
        if output is not None:
            for path in _save(result, output, overwrite=overwrite):
                click.echo(json.dumps(str(path)) if as_json else path)
            return
        _print(result, as_json=as_json)
        if is_temporary and not quiet and any(_files(result)):
            console.print("The file goes with the local server: -o FOLDER/ saves it.")


def _status(ref: str, *, quiet: bool) -> AbstractContextManager[Any]:
    """On a terminal, a line that says how the prediction stands."""
    if quiet or not console.is_terminal:
        return nullcontext(None)

    class Status(AbstractContextManager[Any]):
        def __enter__(self) -> Any:
            self._line = console.status(f"{ref}: creating")
            self._line.start()
            return self._tell

        def __exit__(self, *exc: object) -> None:
            self._line.stop()

        def _tell(self, prediction: Prediction) -> None:
            bar = prediction.progress
            share = "" if bar is None else f" {bar.percentage:.0%}"
            self._line.update(f"{ref}: {prediction.status}{share} ({prediction.id})")

    return Status()


def _print(result: Any, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    elif isinstance(result, str):
        click.echo(result)
    elif (text := _text(result)) is not None:
        click.echo(text)
    else:
        click.echo(json.dumps(result, ensure_ascii=False, indent=2))


def _text(result: Any) -> str | None:
    """The text that a text model gave in parts; the URLs of files, a line each."""
    if not is_array(result) or not result:
        return None
    if not all(isinstance(part, str) for part in result):
        return None
    return ("\n" if any(_files(result)) else "").join(result)


def _files(result: Any) -> Iterator[FileOutput]:
    """The files anywhere in an output."""
    if isinstance(result, FileOutput):
        yield result
    elif is_object(result):
        for value in result.values():
            yield from _files(value)
    elif is_array(result):
        for value in result:
            yield from _files(value)


def _save(result: Any, output: str, *, overwrite: bool) -> Iterator[Path]:
    """Save the files of an output, or the output itself where there are none."""
    files = list(_files(result))
    folder = output.endswith("/") or Path(output).is_dir() or len(files) > 1
    if files and not folder:
        yield files[0].save(output, overwrite=overwrite)
    elif files:
        yield from _save_all(files, Path(output), overwrite=overwrite)
    else:
        text = result if isinstance(result, str) else _text(result)
        content = text if text is not None else json.dumps(result, ensure_ascii=False, indent=2)
        name = "output.txt" if text is not None else "output.json"
        target = Path(output) / name if folder else Path(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".dashscope-") as partial:
            whole = Path(partial, target.name)
            whole.write_text(content + "\n", encoding="utf-8")
            yield _move(whole, target, overwrite=overwrite)


def _save_all(files: list[FileOutput], folder: Path, *, overwrite: bool) -> Iterator[Path]:
    """Save files into a folder; a name that comes twice is numbered."""
    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for file in files:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".dashscope-") as partial:
            whole = file.save(f"{partial}/")
            name, number = whole.name, 1
            while name in taken:
                number += 1
                name = f"{whole.stem}-{number}{whole.suffix}"
            taken.add(name)
            yield _move(whole, folder / name, overwrite=overwrite)


def _move(whole: Path, target: Path, *, overwrite: bool) -> Path:
    if target.exists() and not overwrite:
        raise FileError(f"{target} exists already: --overwrite replaces it")
    return whole.replace(target)
