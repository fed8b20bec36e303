"""Finds this server's files in inputs. They are read from disk instead of over HTTP."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from dashscope.local.store import Store
from dashscope.local.store.folder import DataFolder
from dashscope.local.type_guards import is_dict, is_list
from dashscope.local.values import now, timestamp

MAX_ADDRESSES: Final = 1000
"""Maximum number of addresses to remember."""

FILE_URL: Final = re.compile(r"(https?://[^?#]+?)/v1/files/([a-z2-7]{26})(?:/download)?(?:\?.*)?")


def strings(value: object) -> Iterator[str]:
    """Yield every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif is_list(value):
        for item in value:
            yield from strings(item)
    elif is_dict(value):
        for member in value.values():
            yield from strings(member)


class References:
    """Finds the files for URLs in an input. A random id identifies a file of this server."""

    def __init__(self, store: Store, folder: DataFolder, address: str) -> None:
        self._store = store
        self._folder = folder
        self._address = address
        # A dict as an ordered set, with the address of the latest request at the end.
        self._others: dict[str, None] = {}

    def add_address(self, address: str) -> None:
        """Remember another address at which the server was reached."""
        self._others.pop(address, None)
        self._others[address] = None
        if len(self._others) > MAX_ADDRESSES:
            del self._others[next(iter(self._others))]

    def resolve(self, input_json: str) -> dict[str, list[str]]:
        """Return the path and name of each of this server's files, keyed by URL."""
        found: dict[str, list[str]] = {}
        for url, _, file_id in self._urls(json.loads(input_json)):
            file = self._store.files.get(file_id, timestamp(now()))
            if file is not None:
                found[url] = [str(self._folder.files / file.id), file.name]
        return found

    def missing(self, inputs: dict[str, Any]) -> str | None:
        """Return the first URL of this server that refers to no file, or None."""
        for url, address, file_id in self._urls(inputs):
            ours = address == self._address or address in self._others
            if ours and self._store.files.get(file_id, timestamp(now())) is None:
                return url
        return None

    def _urls(self, value: Any) -> Iterator[tuple[str, str, str]]:
        for text in strings(value):
            if match := FILE_URL.fullmatch(text):
                yield text, match[1], match[2]
