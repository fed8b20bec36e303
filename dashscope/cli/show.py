"""Show objects of the API: lists as tables, single objects as fields.

If stdout is not a terminal, a table has no header and its cells are separated by tabs, for `cut`
and `awk`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import attrs
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from dashscope import Version
from dashscope._common.json import is_mapping, is_sequence
from dashscope._functions.schema import Input, schema_of
from dashscope.cli.terminal import Terminal, escaped, json_text

GAP: Final = 2
"""The number of spaces between columns."""
NARROWEST: Final = 16
"""The minimum width of a description. Wide tables cut descriptions first."""

_BREAKS: Final = re.compile(r"[\t\n\v\f\r ]+")

Columns: TypeAlias = Mapping[str, str]
"""Headers and attribute paths: `current_release.model`, or `owner/name` for two attributes."""


def table(terminal: Terminal, columns: Columns, items: Iterable[Any]) -> None:
    """Show objects as a table, one line each."""
    rows = ([cell(_found(item, path)) for path in columns.values()] for item in items)
    if not terminal.is_for_people:
        for row in rows:
            terminal.text("\t".join(map(one_line, row)))
        return
    # rich's Table would break long ids, which people copy.
    cells = [list(columns), *([escaped(one_line(text)) for text in row] for row in rows)]
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
    """Show an object, one field per line, without empty fields."""
    found = [(name, cell(value)) for name, value in _fields(item) if value not in (None, "")]
    if not terminal.is_for_people:
        for name, text in found:
            terminal.text(f"{name}\t{one_line(text)}")
        return
    width = max(len(name) for name, _ in found) + GAP
    for name, text in found:
        for number, line in enumerate(escaped(text.rstrip("\n")).split("\n")):
            heading = (name if number == 0 else "").ljust(width)
            terminal.out.print(Text.assemble((heading, "bold"), line), soft_wrap=True)


def cell(value: Any) -> str:
    """Return a value as text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    if isinstance(value, float):
        return f"{value:g}"
    return json_text(value)


def _found(item: Any, path: str) -> Any:
    """Return the value at an attribute path; for `a/b`, both values joined by a slash."""
    if "/" in path:
        return "/".join(cell(_found(item, part)) for part in path.split("/"))
    for name in path.split("."):
        item = item.get(name) if is_mapping(item) else getattr(item, name, None)
    return item


def _fields(item: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    for field in attrs.fields(item.__class__):
        name, value = above + field.name, getattr(item, field.name)
        if field.name == "openapi_schema" and isinstance(item, Version):
            model = schema_of(item)
            for entry in model.inputs:
                yield f"inputs.{entry.name}", _described(entry, model.json_types(entry.schema))
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
        text += f", default: {json.dumps(entry.default, ensure_ascii=False)}"
    return text if entry.description is None else f"{text}: {entry.description}"


def _holds_objects(value: Any) -> bool:
    """True for a list of objects."""
    return is_sequence(value) and not is_mapping(value) and any(map(_is_object, value))


def one_line(text: str) -> str:
    """Return `text` on one line. Spaces other than ASCII's, such as U+3000, are kept."""
    return _BREAKS.sub(" ", text.strip("\t\n\v\f\r "))


def _is_object(value: Any) -> bool:
    return hasattr(value, "__attrs_attrs__")
