"""Converts inputs and outputs to display items: text, images, audio, video, files or JSON.

Values are untrusted. Only this server's files and data URLs of known media types are embedded, and
only http(s) URLs become links. Everything else is shown as text.
"""

import json
import re
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from attrs import evolve, frozen
from markupsafe import Markup

from dashscope.local.models.references import FILE_URL, strings
from dashscope.local.store import Store
from dashscope.local.store.folder import DataFolder, Signer
from dashscope.local.type_guards import is_dict, is_list
from dashscope.local.values import File, now, timestamp

Kind = Literal[
    "text", "number", "image", "audio", "video", "file", "deleted", "link", "json", "none"
]

TEXT_LIMIT: Final = 100_000
"""Maximum characters of a text on a page. The page says how many characters are omitted."""

ITEM_LIMIT: Final = 100
"""Maximum items of a list on a page."""

PREVIEW_LIMIT: Final = 20_000
"""Bytes of a text file that are shown next to its link."""

TREE_LIMIT: Final = 300
"""Maximum values of a JSON document in its collapsible view."""

MAX_DEPTH: Final = 20
"""Maximum depth of a JSON document in its collapsible view."""

OPEN_DEPTH: Final = 2
"""Levels of a JSON document that are expanded at first."""

_DATA: Final = re.compile(
    r"data:(image|audio|video)/[a-z0-9.+-]{1,40}(;[a-z0-9=.+-]{1,40})?;base64,[A-Za-z0-9+/=\s]*",
    re.IGNORECASE,
)
_DATA_LIMIT: Final = 4_000_000
_TEXTUAL: Final = re.compile(r"text/(?!html)|application/(json|xml|x-ndjson|yaml)\b")


@frozen(kw_only=True)
class Node:
    """A value in the collapsible view of a JSON document. ``more`` members are not shown."""

    key: str
    text: str
    kind: str
    children: "tuple[Node, ...]" = ()
    more: int = 0
    is_open: bool = False


@frozen(kw_only=True)
class DisplayItem:
    """One value as a page shows it.

    ``url`` opens a file without a token. ``own_url`` is the URL of a file of this server in inputs.
    """

    kind: Kind
    text: str = ""
    more: int = 0
    url: str = ""
    own_url: str = ""
    file: File | None = None
    tree: Node | None = None
    html: Markup | None = None


class Display:
    """Converts values to display items."""

    def __init__(self, store: Store, folder: DataFolder, signer: Signer, address: str) -> None:
        self._store = store
        self._folder = folder
        self._signer = signer
        self._address = address
        self._base_path = urlsplit(address).path

    def output(self, value: Any) -> list[DisplayItem]:
        """Return the items of an output. A list that contains strings has one item per element."""
        if is_list(value) and any(isinstance(item, str) for item in value):
            return [self.value(item) for item in value[:ITEM_LIMIT]]
        return self.with_files(value)

    def with_files(self, value: Any) -> list[DisplayItem]:
        """Return the item of a value, followed by the files in it."""
        shown = [self.value(value)]
        if shown[0].kind == "json":
            inside = (self.value(text) for text in strings(value))
            files = [item for item in inside if item.url and item.kind != "link"]
            shown += files[:ITEM_LIMIT]
        return shown

    def value(self, value: Any) -> DisplayItem:
        """Return the item of one value."""
        match value:
            case None:
                return DisplayItem(kind="none")
            case str():
                return self._text(value)
            case bool() | int() | float():
                return DisplayItem(kind="number", text=json.dumps(value))
            case _:
                shown = cut("json", json.dumps(value, indent=2, ensure_ascii=False))
                return evolve(shown, tree=tree(value)) if value else shown

    def preview(self, output: str | None) -> DisplayItem | None:
        """Return the preview of an output in a list: an image, or the start of a text."""
        if output is None:
            return None
        value: Any = json.loads(output)
        if is_list(value) and value and all(isinstance(item, str) for item in value):
            first = self.value(value[0])
            value = value[0] if first.file is not None else "".join(value)
        shown = self.value(value)
        if shown.kind == "image" and shown.file is not None and shown.file.size > 1_000_000:
            shown = evolve(shown, kind="file", text="")
        if shown.kind in {"text", "json", "number", "link"}:
            text = " ".join(shown.text.split())
            return DisplayItem(kind="text", text=f"{text[:140]}…" if len(text) > 140 else text)
        return shown

    def _text(self, text: str) -> DisplayItem:
        if match := FILE_URL.fullmatch(text):
            return self._file(match[2])
        if (
            text[:5].lower() == "data:"
            and len(text) < _DATA_LIMIT
            and (match := _DATA.fullmatch(text))
        ):
            kinds: dict[str, Kind] = {"image": "image", "audio": "audio", "video": "video"}
            return DisplayItem(kind=kinds[match[1].lower()], url=text)
        if text[:5].lower() == "data:":
            return DisplayItem(kind="text", text=text[:100], more=max(0, len(text) - 100))
        if is_link(text):
            return DisplayItem(kind="link", text=text, url=text)
        return cut("text", text)

    def _file(self, file_id: str) -> DisplayItem:
        file = self._store.files.get(file_id, timestamp(now()))
        if file is None:
            return DisplayItem(kind="deleted", text=file_id)
        # Omit the host, so that the URL works at every address of the server.
        query = self._signer.query(file.id, file.expires_at)
        url = f"{self._base_path}/v1/files/{file.id}/download?{query}"
        kinds: dict[str, Kind] = {"image": "image", "audio": "audio", "video": "video"}
        kind = kinds.get(file.content_type.partition("/")[0], "file")
        preview = ""
        if kind == "file" and _TEXTUAL.match(file.content_type):
            preview = read_start(self._folder.files / file.id)
        more = max(0, file.size - PREVIEW_LIMIT) if preview else 0
        own_url = f"{self._address}/v1/files/{file.id}"
        return DisplayItem(kind=kind, url=url, own_url=own_url, file=file, text=preview, more=more)


def tree(value: Any) -> Node:
    """Return the collapsible view of a JSON value."""
    left = TREE_LIMIT

    def node(key: str, value: Any, depth: int) -> Node:
        nonlocal left
        left -= 1
        members: list[tuple[str, Any]] = []
        if is_dict(value):
            kind, members = "object", list(value.items())
            text = f"{{{len(members)}}}"
        elif is_list(value):
            kind, members = "array", [(str(place), item) for place, item in enumerate(value)]
            text = f"[{len(members)}]"
        else:
            kind = "text" if isinstance(value, str) else "value"
            text = json.dumps(value, ensure_ascii=False)
            text = f"{text[:500]}…" if len(text) > 500 else text
        children: list[Node] = []
        for name, item in members:
            if left <= 0 or depth > MAX_DEPTH:
                break
            children.append(node(name[:200], item, depth + 1))
        return Node(
            key=key,
            text=text,
            kind=kind,
            children=tuple(children),
            more=len(members) - len(children),
            is_open=depth < OPEN_DEPTH,
        )

    return node("", value, 0)


def cut(kind: Kind, text: str) -> DisplayItem:
    """Return an item with a text, cut at ``TEXT_LIMIT``."""
    return DisplayItem(kind=kind, text=text[:TEXT_LIMIT], more=max(0, len(text) - TEXT_LIMIT))


def read_start(path: Path) -> str:
    """Return the start of a text file, or an empty string if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(PREVIEW_LIMIT).decode(errors="ignore").replace("\0", "")
    except OSError:
        return ""


def is_link(text: str) -> bool:
    """Return whether a text is exactly one http(s) URL, and may become a link."""
    if len(text) > 2000 or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def as_items(inputs: Any) -> dict[str, Any]:
    """Return an input as a mapping. Return an empty mapping for other values."""
    return inputs if is_dict(inputs) else {}
