"""The inputs of a model, from `KEY=VALUE` and `--input FILE`.

`KEY=@FILE` is a file, `KEY=@-` the content of stdin, and `KEY=@@TEXT` text that starts with `@`.
Repeating `KEY=@FILE` makes a list of files. The model's schema decides whether a value is text, a
number, a boolean or other JSON. Without a schema, the value itself decides. Mistakes are reported
before anything is sent.
"""

from __future__ import annotations

import json
import os
import re
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
from dashscope._functions.check import is_uri
from dashscope._functions.schema import ModelSchema, Schema, kind_of, listed, schema_of

STDIN: Final = "-"


@frozen
class InputType:
    """The type of an input, as far as it is known.

    Attributes:
        kinds: The JSON types that it can have; empty if they are unknown.
        is_url: True if text has to be a URL. A file is sent as its URL.
    """

    kinds: frozenset[str] = frozenset()
    is_url: bool = False

    @classmethod
    def of(cls, model: ModelSchema, schema: Schema) -> InputType:
        """Return the type that a schema describes."""
        parts = [part for key in ("anyOf", "oneOf") for part in listed(schema, key)] or [schema]
        texts = [part for part in map(model.resolved, parts) if "string" in model.json_types(part)]
        is_url = bool(texts) and all(part.get("format") == "uri" for part in texts)
        return cls(frozenset(model.json_types(schema)), is_url)


UNKNOWN: Final = InputType()
_FILE_NAME: Final = re.compile(r"\S+\.[A-Za-z][A-Za-z0-9]{0,4}")


@frozen
class Pair:
    """An input from the command line."""

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

    @property
    def is_typed(self) -> bool:
        """True if the value depends on the type of the input."""
        return self.file is not None or not _is_plain(self.text) or _is_file_name(self.text)

    def check(self) -> None:
        """Check that the file exists.

        Raises:
            FileError: The file does not exist or cannot be read.
        """
        if self.file is None or self.file == STDIN:
            return
        try:
            check_file(f"{self.key}=@{self.file}", self.file)
        except FileError as error:
            raise FileError(
                f"{error}. For text that starts with @, write {self.key}=@@{self.file}"
            ) from error


def read_pair(text: str) -> Pair:
    """Read `KEY=VALUE`.

    Raises:
        click.BadParameter: There is no key or no `=`.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise click.BadParameter(f"{text!r} is not KEY=VALUE")
    return Pair(key, value)


def read_object(path: str) -> dict[str, Any]:
    """Return the JSON object in a file, or in stdin for `-`.

    Raises:
        click.BadParameter: The file cannot be read or does not contain a JSON object.
    """
    what = "stdin" if path == STDIN else path
    try:
        content = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()
        found = decode(content)
    except OSError as error:
        raise click.BadParameter(f"{what}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"{what} is not JSON: {error}") from error
    if not is_object(found):
        raise click.BadParameter(f"{what} is a JSON {kind_of(found)}, not an object")
    return found


def complete_file(context: object, parameter: object, begun: str) -> list[CompletionItem]:
    """Make the shell complete a file name."""
    return [CompletionItem(begun, type="file")]


def complete_pair(context: object, parameter: object, begun: str) -> list[CompletionItem]:
    """Complete the file of `KEY=@FILE`."""
    key, at, path = begun.partition("=@")
    # Bash splits the word at `=` and completes the second half.
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
    help="A JSON object with inputs, - for stdin. KEY=VALUE takes precedence.",
)


def check_pairs(pairs: Sequence[Pair]) -> None:
    """Check that the pairs can make an input.

    Raises:
        click.UsageError: A key is repeated, and not for a list of files.
        FileError: A file does not exist.
    """
    for key, same in _by_key(pairs).items():
        if len(same) > 1 and not all(pair.file or is_uri(pair.text) for pair in same):
            raise click.UsageError(f"{key} is given {len(same)} times")
    if sum(pair.file == STDIN for pair in pairs) > 1:
        raise click.UsageError("stdin can be read only once: one KEY=@-")
    for pair in pairs:
        pair.check()


def check_file(what: str, path: str) -> None:
    """Check that a file exists, without opening it. It can be a pipe.

    Raises:
        FileError: The file does not exist or cannot be read.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (the path as it was typed)
    except (OSError, ValueError) as error:
        raise FileError(f"{what}: {getattr(error, 'strerror', error)}") from error
    if stat.S_ISDIR(mode):
        raise FileError(f"{what}: this is a directory, not a file")
    if not os.access(path, os.R_OK):
        raise FileError(f"{what}: no permission to read the file")


def inputs_of(
    pairs: Sequence[Pair],
    base: Mapping[str, Any] | None,
    version: Callable[[], Version | None],
    *,
    part: str = "Input",
) -> dict[str, Any]:
    """Return the input that the pairs make, on top of `base`.

    Args:
        pairs: The pairs from the command line.
        base: The inputs from `--input`.
        version: Returns the version whose schema applies. Called only if the schema matters.
        part: The name of the schema in the version.

    Raises:
        click.UsageError: A key is repeated for an input that is not a list.
        FileError: Text is given for an input that takes a file or a URL.
    """
    known = known_inputs(version, part=part) if any(pair.is_typed for pair in pairs) else {}
    values = {
        key: _value(key, same, known.get(key, UNKNOWN)) for key, same in _by_key(pairs).items()
    }
    return {**(base or {}), **values}


def _by_key(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(pair.key, []).append(pair)
    return found


def _value(key: str, same: Sequence[Pair], type: InputType) -> Any:
    takes_list = "array" in type.kinds
    if len(same) > 1 and type.kinds and not takes_list:
        raise click.UsageError(f"{key} is given {len(same)} times, but it is not a list")
    is_file = same[0].file is not None
    if len(same) > 1 or (is_file and takes_list and "string" not in type.kinds):
        return [_one(pair, UNKNOWN) for pair in same]
    return _one(same[0], type)


def _one(pair: Pair, type: InputType) -> Any:
    if pair.file == STDIN:
        content = sys.stdin.buffer.read()
        if not content:
            raise FileError(f"{pair.key}=@-: stdin is empty")
        return content
    if pair.file is not None:
        return Path(pair.file)
    value = read(pair.text, type.kinds)
    if type.is_url and isinstance(value, str) and not is_uri(value):
        raise FileError(
            f"{pair.key}={pair.value} is not a URL, which this input takes. To send the file "
            f"{value}, write {pair.key}=@{value}"
        )
    return value


def read(text: str, kinds: frozenset[str]) -> Any:
    """Return the value that `text` stands for, as one of the JSON types in `kinds`."""
    if kinds and kinds <= {"string", "null"}:
        return text
    if "boolean" in kinds and text.lower() in ("true", "false"):
        return text.lower() == "true"
    value = _literal(text)
    if "string" in kinds and (isinstance(value, str) or not _takes(kinds, value)):
        return text
    return fitted(value, kinds)


def fitted(value: Any, kinds: frozenset[str]) -> Any:
    """Return 3.0 as the integer 3 for an input that takes integers only.

    Data frames store the integers of a column with gaps as floats.
    """
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole and "integer" in kinds and "number" not in kinds else value


def _takes(kinds: frozenset[str], value: Any) -> bool:
    # In JSON, 1e3 is an integer. For an input that also takes text, 1e3 is more likely text.
    kind = "number" if isinstance(value, float) else kind_of(value)
    return kind in kinds or (kind == "integer" and "number" in kinds)


def _literal(text: str) -> Any:
    """Return `text` decoded as JSON, or `text` itself if it is not JSON."""
    try:
        return json.loads(text, parse_constant=lambda _: text)
    except (ValueError, RecursionError):
        return text


def _is_plain(text: str) -> bool:
    """True if `text` is text for every schema."""
    return _literal(text) == text and text.lower() not in ("true", "false")


def _is_file_name(text: str) -> bool:
    looks_like_one = _FILE_NAME.fullmatch(text) is not None and not is_uri(text)
    return looks_like_one or os.path.isfile(text)  # noqa: PTH113 (no error for odd text)


def known_inputs(
    version: Callable[[], Version | None], *, part: str = "Input"
) -> dict[str, InputType]:
    """Return the types of a version's inputs, or nothing if the version is not available."""
    try:
        found = version()
    except (APIError, ValueError):
        return {}  # running the model reports the error
    model = schema_of(found)
    return {entry.name: InputType.of(model, entry.schema) for entry in model.inputs_of(part)}


def version_of(client: Client, reference: Reference) -> Version | None:
    """Return the version that a reference names. Not retried, because the run itself is."""
    models = client.with_options(max_retries=0).models
    if reference.version is not None:
        return models.versions.get(reference.owner, reference.name, reference.version)
    return models.get(reference.owner, reference.name).latest_version
