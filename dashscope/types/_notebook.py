"""Values as HTML, for notebooks. Everything that comes from elsewhere is escaped.

Images, audio and video are shown from their URL. Only http and https URLs and data URIs of media
become elements.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final
from urllib.parse import urlsplit

from dashscope._common.json import is_array, is_mapping, is_object
from dashscope._common.media_types import type_of

LONGEST_TEXT: Final = 2000
"""The longest text of one value, in characters."""
MOST_ITEMS: Final = 100
"""The largest number of rows of a table and of items of an output."""
MOST_COLUMNS: Final = 6

_HTTP: Final = re.compile(r"https?://[^\s]+", re.IGNORECASE)
_MEDIA: Final = re.compile(r"data:((?:image|audio|video)/[\w.+-]+)[;,]", re.IGNORECASE)
_COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "Prediction": ("id", "model", "status", "created_at", "output"),
    "Training": ("id", "model", "status", "created_at"),
    "Model": ("owner", "name", "description", "run_count", "visibility"),
}
"""The columns to show for these classes."""
_STYLE: Final = 'style="max-width:100%;max-height:24em"'


def listing(items: Sequence[Any], note: str) -> str:
    """Return a table of items, with a note below it."""
    if not items:
        return f"<p>{note}</p>"
    columns = _columns(items[0])
    rows = [[value(_cell(item, name)) for name in columns] for item in items]
    return _table(columns, rows) + f"<p>{note}</p>"


def file(url: str, content_type: str | None) -> str:
    """Return the HTML of a file: an image, audio or video element, or a link."""
    media = _MEDIA.match(url)
    if media is None and not _HTTP.fullmatch(url):
        return text(url)
    kind = media[1].lower() if media is not None else (content_type or "").lower()
    source = escape(url, quote=True)
    name = "output" if media is not None else text(urlsplit(url).path.rpartition("/")[2])
    if kind.startswith("image/"):
        return f'<img src="{source}" alt="{name}" {_STYLE}>'
    if kind.startswith("audio/"):
        return f'<audio controls src="{source}"></audio>'
    if kind.startswith("video/"):
        return f'<video controls src="{source}" {_STYLE}></video>'
    # Without an ending the type is unknown. If the file is no image, the URL is shown instead.
    inside = (
        text(url) if kind or "." in name else f'<img src="{source}" alt="{text(url)}" {_STYLE}>'
    )
    return f'<a href="{source}" rel="noopener noreferrer" target="_blank">{inside}</a>'


def value(found: Any) -> str:
    """Return the HTML of any JSON value, with files in it shown."""
    if isinstance(found, str):
        if _HTTP.fullmatch(found) or _MEDIA.match(found):
            return file(found, kind_of(found))
        return f'<span style="white-space:pre-wrap">{text(found)}</span>'
    if is_array(found) and any(isinstance(item, str) for item in found):
        more = f"<p>… {len(found) - MOST_ITEMS} more</p>" if len(found) > MOST_ITEMS else ""
        if any(_HTTP.fullmatch(item) or _MEDIA.match(item) for item in found if type(item) is str):
            return "".join(f"<div>{value(item)}</div>" for item in found[:MOST_ITEMS]) + more
    if is_object(found) and found:
        return facts([(name, value(item)) for name, item in list(found.items())[:MOST_ITEMS]])
    if isinstance(found, datetime):
        return text(found.isoformat(sep=" ", timespec="seconds"))
    if found is None:
        return ""
    if is_array(found) or isinstance(found, bool):
        return text(json.dumps(found, ensure_ascii=False, default=str))
    return text(found)


def kind_of(url: str) -> str | None:
    """Return the media type of a URL's file name."""
    return type_of(urlsplit(url).path)


def text(found: object) -> str:
    """Return text as HTML, escaped and shortened."""
    shown = str(found)
    if len(shown) > LONGEST_TEXT:
        shown = f"{shown[:LONGEST_TEXT]}… ({len(shown)} characters)"
    return escape(shown, quote=True)


def _columns(item: Any) -> Sequence[str]:
    names = _fields(item)
    if (known := _COLUMNS.get(type(item).__name__)) is not None and set(known) <= set(names):
        return known
    short = [name for name in names if _is_short(_cell(item, name))]
    return (short or names or ["value"])[:MOST_COLUMNS]


def _fields(item: Any) -> list[str]:
    names: list[str] = [entry.name for entry in getattr(item, "__attrs_attrs__", ())]
    return [name for name in names if name != "raw"]


def _is_short(found: Any) -> bool:
    return found is None or isinstance(found, str | int | float | datetime)


def _cell(item: Any, name: str) -> Any:
    if not _fields(item):
        return item
    # As a mapping, a value has `None` for a field that is unavailable.
    return item[name] if is_mapping(item) else getattr(item, name)


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return a table of names and values. The values are HTML."""
    lines = (
        f'<tr><th scope="row" style="text-align:left;vertical-align:top">{text(name)}</th>'
        f'<td style="text-align:left">{shown}</td></tr>'
        for name, shown in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col" style="text-align:left">{text(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in row) + "</tr>"
        for row in rows[:MOST_ITEMS]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
