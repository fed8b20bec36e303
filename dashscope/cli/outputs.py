"""Print a model's output, or save it to files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from dashscope import FileError, FileOutput
from dashscope._common.json import is_array, is_object
from dashscope.cli import images
from dashscope.cli.terminal import Terminal, json_text, writable

SAVE: Final = click.Option(
    ["-o", "--output"],
    type=click.Path(path_type=str),
    help="Save to this file, or into this folder if it ends in /.",
)
OVERWRITE: Final = click.Option(["--overwrite"], is_flag=True, help="Replace files that exist.")


def check_target(output: str | None, *, overwrite: bool) -> None:
    """Check that the output can be saved there, before the model runs.

    Raises:
        FileError: It cannot.
    """
    if output is None:
        return
    target = Path(output)
    if target.is_dir():
        folder = target
    elif output.endswith("/"):
        folder = _nearest(target)
    elif target.exists() and not overwrite:
        raise FileError(f"{target} already exists. To replace it, pass --overwrite")
    else:
        folder = _nearest(target.parent)
    if not folder.is_dir():
        raise FileError(f"{target} cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FileError(f"{target} cannot be written: no permission to write to {folder}")


def deliver(
    terminal: Terminal, result: Any, output: str | None, *, overwrite: bool, is_temporary: bool
) -> None:
    """Print an output, or save it and print the paths."""
    if output is not None:
        for path in _save(result, output, overwrite=overwrite):
            terminal.line(str(path)) if terminal.as_json else terminal.text(str(path))
        return
    _print(terminal, result)
    if is_temporary and any(files_of(result)):
        terminal.note(
            "The local server deletes the file when it stops. To save it, pass -o FOLDER/."
        )


def _print(terminal: Terminal, result: Any) -> None:
    if terminal.as_json:
        terminal.line(result)
        return
    if terminal.is_for_people:
        for file in files_of(result):
            images.draw(terminal.out, file)
    text = result if isinstance(result, str) else _text(result)
    terminal.text(json_text(result, indent=2) if text is None else text)


def _text(result: Any) -> str | None:
    """Return a list of strings as text: parts are joined, URLs of files are one per line."""
    if not is_array(result) or not result:
        return None
    if not all(isinstance(part, str) for part in result):
        return None
    return ("\n" if any(files_of(result)) else "").join(result)


def files_of(result: Any) -> Iterator[FileOutput]:
    """Yield the files anywhere in an output."""
    if isinstance(result, FileOutput):
        yield result
    elif is_object(result):
        for value in result.values():
            yield from files_of(value)
    elif is_array(result):
        for value in result:
            yield from files_of(value)


def _save(result: Any, output: str, *, overwrite: bool) -> Iterator[Path]:
    """Save the files of an output, or the output itself if it has none."""
    files = list(files_of(result))
    folder = output.endswith("/") or Path(output).is_dir() or len(files) > 1
    if files:
        taken: set[str] = set()
        for file in files:
            yield place(file.save, output, folder=folder, overwrite=overwrite, taken=taken)
        return
    text = result if isinstance(result, str) else _text(result)
    content = text if text is not None else json_text(result, indent=2)
    name = "output.txt" if text is not None else "output.json"

    def write(path: str) -> Path:
        whole = Path(path + name if path.endswith("/") else path)
        whole.write_text(writable(content) + "\n" * (not content.endswith("\n")), encoding="utf-8")
        return whole

    yield place(write, output, folder=folder, overwrite=overwrite)


def place(
    save: Callable[[str], Path],
    output: str,
    *,
    folder: bool,
    overwrite: bool,
    taken: set[str] | None = None,
) -> Path:
    """Save a file, which appears under its name when it is complete.

    Args:
        save: Saves it to a path. If the path ends in /, `save` chooses a name in this folder.
        output: The file or the folder.
        folder: Whether `output` is a folder.
        overwrite: Whether to replace an existing file.
        taken: The names in this folder that are in use. A second file gets a number.

    Returns:
        The path of the file.

    Raises:
        FileError: A file of that name exists.
    """
    target = Path(output)
    where = target if folder else target.parent
    where.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where, prefix=".dashscope-") as partial:
        whole = save(f"{partial}/" if folder else f"{partial}/{target.name}")
        name, number = whole.name, 1
        while taken is not None and name in taken:
            number += 1
            name = f"{whole.stem}-{number}{whole.suffix}"
        if taken is not None:
            taken.add(name)
        if (where / name).exists() and not overwrite:
            raise FileError(f"{where / name} already exists. To replace it, pass --overwrite")
        return whole.replace(where / name)


def _nearest(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder
