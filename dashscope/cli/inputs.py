"""`KEY=VALUE` and `--input FILE` on the command line to a model's input.

`KEY=@FILE` is a file, `KEY=@-` what comes in on stdin, and `KEY=@@TEXT` text that starts with `@`.
A value that could be a number, a boolean or other JSON is read as what the model's schema says
the input is; without a schema, as what it looks like. What can be wrong with all this is said
before anything else is done.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
from attrs import frozen
from click.shell_completion import CompletionItem

from dashscope import APIError, Client, FileError, Version
from dashscope._common.json import decode, is_object
from dashscope._common.urls import Reference
from dashscope._functions.schema import kind_of, schema_of

STDIN: Final = "-"
ANYTHING: Final = frozenset[str]()
"""The JSON types of an input of which nothing is known."""


@frozen
class Pair:
    """An input as it was written."""

    key: str
    value: str

    @property
    def file(self) -> str | None:
        """The file of `KEY=@FILE`."""
        is_file = self.value.startswith("@") and not self.value.startswith("@@")
        return self.value[1:] if is_file else None

    @property
    def text(self) -> str:
        """The text of the value."""
        return self.value.removeprefix("@") if self.value.startswith("@@") else self.value

    def check(self) -> None:
        """See that the file is there.

        Raises:
            FileError: when it is not, or cannot be read.
        """
        if self.file is None or self.file == STDIN:
            return
        check_file(f"{self.key}=@{self.file}", self.file)


def read_pair(text: str) -> Pair:
    """Read `KEY=VALUE`.

    Raises:
        click.BadParameter: when there is no key or no `=`.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE")
    return Pair(key, value)


def read_object(path: str) -> dict[str, Any]:
    """The JSON object in a file, or in stdin for `-`.

    Raises:
        click.BadParameter: when there is none.
    """
    what = "stdin" if path == STDIN else path
    try:
        content = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
        found = decode(content)
    except OSError as error:
        raise click.BadParameter(f"{what}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{what} does not hold JSON: {error}") from error
    if not is_object(found):
        raise click.BadParameter(f"{what} holds a JSON {kind_of(found)}, not an object")
    return found


def complete_file(context: object, parameter: object, begun: str) -> list[CompletionItem]:
    """Have the shell complete the name of a file."""
    return [CompletionItem(begun, type="file")]


def complete_pair(context: object, parameter: object, begun: str) -> list[CompletionItem]:
    """Have the file of `KEY=@FILE` completed."""
    key, at, path = begun.partition("=@")
    # Bash parts the word, and completes what is behind the `=`.
    if not at and os.environ.get("COMP_WORDS", "").endswith(f"=@\n{begun}"):
        key, at, path = "", "@", begun
    elif at and not key:
        at = "@"
    elif not at:
        return complete_file(context, parameter, begun)
    folder, slash, start = path.rpartition("/")
    try:
        found = sorted(Path(folder + slash).iterdir())
    except OSError:
        return []
    return [
        CompletionItem(f"{key}{at}{folder}{slash}{file.name}{'/' * file.is_dir()}")
        for file in found
        if file.name.startswith(start) and (start or not file.name.startswith("."))
    ]


PAIRS: Final = click.Argument(
    ["pairs"],
    nargs=-1,
    type=read_pair,
    metavar="[KEY=VALUE | KEY=@FILE]...",
    shell_complete=complete_pair,
)
INPUT: Final = click.Option(
    ["--input", "base"],
    type=read_object,
    metavar="FILE",
    shell_complete=complete_file,
    help="A JSON object of inputs, - for stdin; KEY=VALUE goes before.",
)


def check_pairs(pairs: Sequence[Pair]) -> None:
    """See that the pairs can make an input.

    Raises:
        click.UsageError: when a key comes twice.
        FileError: when a file is not there.
    """
    keys = [pair.key for pair in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise click.UsageError(f"{key} is given {keys.count(key)} times")
    if sum(pair.file == STDIN for pair in pairs) > 1:
        raise click.UsageError("stdin can be read once: one KEY=@-")
    for pair in pairs:
        pair.check()


def check_file(what: str, path: str) -> None:
    """See that a file is there, without opening it: it may be a pipe.

    Raises:
        FileError: when it is not, or cannot be read.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (a path as it was typed)
    except (OSError, ValueError) as error:
        raise FileError(f"{what}: {getattr(error, 'strerror', error)}") from error
    if stat.S_ISDIR(mode):
        raise FileError(f"{what}: this is a directory, not a file")
    if not os.access(path, os.R_OK):
        raise FileError(f"{what}: it may not be read")


def inputs_of(
    pairs: Sequence[Pair],
    base: Mapping[str, Any] | None,
    version: Callable[[], Version | None],
    *,
    part: str = "Input",
) -> dict[str, Any]:
    """The input that the pairs make, over what is in `base`.

    Args:
        pairs: as they were written.
        base: the inputs of `--input`.
        version: asks for the version whose schema counts; called where the schema matters.
        part: the name of the schema.
    """
    # Text that can be nothing else needs no schema, and so no request.
    ambiguous = any(pair.file is None and not _is_plain(pair.text) for pair in pairs)
    known = known_inputs(version, part=part) if ambiguous else {}
    values = {pair.key: _value(pair, known.get(pair.key, ANYTHING)) for pair in pairs}
    return {**(base or {}), **values}


def _value(pair: Pair, kinds: frozenset[str]) -> Any:
    if pair.file == STDIN:
        content = sys.stdin.buffer.read()
        if not content:
            raise FileError(f"{pair.key}=@-: stdin holds nothing (more)")
        return content
    return read(pair.text, kinds) if pair.file is None else Path(pair.file)


def read(text: str, kinds: frozenset[str]) -> Any:
    """A value from the command line, as one of the JSON types that its input takes."""
    if kinds and kinds <= {"string", "null"}:
        return text
    if "boolean" in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    value = _literal(text)
    if "string" in kinds and (isinstance(value, str) or not _takes(kinds, value)):
        return text
    return fitted(value, kinds)


def fitted(value: Any, kinds: frozenset[str]) -> Any:
    """A whole number as an integer, where its input takes no other: tables have 3.0 for 3."""
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole and "integer" in kinds and "number" not in kinds else value


def _takes(kinds: frozenset[str], value: Any) -> bool:
    # To JSON, 1e3 is an integer; where text is taken as well, whoever types it means a text.
    kind = "number" if isinstance(value, float) else kind_of(value)
    return kind in kinds or (kind == "integer" and "number" in kinds)


def _literal(text: str) -> Any:
    """The value that `text` looks like: JSON, else text."""
    try:
        return json.loads(text, parse_constant=lambda _: text)
    except (ValueError, RecursionError):
        return text


def _is_plain(text: str) -> bool:
    """Is this text whatever a schema says?"""
    return _literal(text) == text and text.lower() not in ("true", "false")


def known_inputs(
    version: Callable[[], Version | None], *, part: str = "Input"
) -> dict[str, frozenset[str]]:
    """The JSON types that a version's inputs take; nothing where it cannot be had."""
    try:
        found = version()
    except (APIError, ValueError):
        return {}  # running the model says what is wrong with it
    model = schema_of(found)
    return {entry.name: frozenset(model.kinds(entry.schema)) for entry in model.inputs_of(part)}


def version_of(client: Client, reference: Reference) -> Version | None:
    """The version that a reference stands for: one look, for the run itself is patient."""
    models = client.with_options(max_retries=0).models
    if reference.version is not None:
        return models.versions.get(reference.owner, reference.name, reference.version)
    return models.get(reference.owner, reference.name).latest_version
