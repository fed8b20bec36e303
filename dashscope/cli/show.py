"""Objects of the API for people: lists as tables, single ones field by field.

Where stdout is no terminal, a table has no heading and its cells are parted by tabs, for `cut`
and `awk`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import attrs
import click
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from dashscope import Version
from dashscope._common.json import is_mapping, is_sequence
from dashscope._functions.schema import Input, schema_of
from dashscope.cli.terminal import Terminal, json_line, printable, writable

GAP: Final = 2
"""Spaces between the columns of a table."""
NARROWEST: Final = 16
"""Characters of a description that are shown at the least; the rest is cut first."""

Columns: TypeAlias = Mapping[str, str]
"""Headings, and where the cells come from: `current_release.model`, or `owner/name` for two."""


def table(terminal: Terminal, columns: Columns, items: Iterable[Any]) -> None:
    """Objects as a table, a line each."""
    rows = ([cell(_found(item, path)) for path in columns.values()] for item in items)
    if not terminal.is_for_people:
        for row in rows:
            click.echo("\t".join(map(_one_line, row)))
        return
    # Not rich's table: where it is too wide, it would break the ids that one copies.
    cells = [list(columns), *([" ".join(printable(text).split()) for text in row] for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    left = terminal.out.width - sum(widths[:-1]) - GAP * (len(widths) - 1)
    if "description" in columns:
        widths[-1] = min(widths[-1], max(left, NARROWEST))
    for number, row in enumerate(cells):
        line = (" " * GAP).join(map(_fitted, row, widths)).rstrip()
        terminal.out.print(Text(line, style="" if number else "bold"), soft_wrap=True)


def _fitted(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 1) + "…"


def fields(terminal: Terminal, item: Any) -> None:
    """An object, a field a line; what it does not have is left out."""
    found = [(name, cell(value)) for name, value in _fields(item) if value not in (None, "")]
    if not terminal.is_for_people:
        for name, text in found:
            click.echo(f"{name}\t{_one_line(text)}")
        return
    width = max(len(name) for name, _ in found) + GAP
    for name, text in found:
        for number, line in enumerate(printable(text.rstrip()).split("\n")):
            heading = (name if number == 0 else "").ljust(width)
            terminal.out.print(Text.assemble((heading, "bold"), line), soft_wrap=True)


def cell(value: Any) -> str:
    """A value in words."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, float):
        return f"{value:g}"
    return json_line(value)


def _found(item: Any, path: str) -> Any:
    """What is at a path of attributes; `a/b` is two of them, written that way."""
    if "/" in path:
        return "/".join(cell(_found(item, part)) for part in path.split("/"))
    for name in path.split("."):
        item = getattr(item, name, None)
    return item


def _fields(item: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for field in attrs.fields(item.__class__):
        name, value = above + field.name, getattr(item, field.name)
        if field.name == "openapi_schema" and isinstance(item, Version):
            model = schema_of(item)
            for entry in model.inputs:
                yield f"inputs.{entry.name}", _described(entry, model.kinds(entry.schema))
        elif not field.repr:
            continue
        elif _is_object(value):
            yield from _fields(value, f"{name}.")
        elif _holds_objects(value):
            yield name, "\n".join(_found(one, "owner/name") for one in value)
        else:
            yield name, value


def _described(entry: Input, kinds: Sequence[str]) -> str:
    text = " or ".join(sorted({*kinds} - {"null"})) or "anything"
    if entry.required:
        text += ", required"
    elif entry.default is not None:
        text += f", {json.dumps(entry.default, ensure_ascii=False)} by default"
    return text if entry.description is None else f"{text}: {entry.description}"


def _holds_objects(value: Any) -> bool:
    """Is this a list of models?"""
    return is_sequence(value) and not is_mapping(value) and any(map(_is_object, value))


def _one_line(text: str) -> str:
    return " ".join(writable(text).split())


def _is_object(value: Any) -> bool:
    return hasattr(value, "__attrs_attrs__")
