"""Files in a model's output: `AsyncFileOutput`, a URL that can also read and save itself.

`wrap_file_outputs()` walks an output and makes one of every URL in it. A file output *is* its URL,
a `str`: it prints, compares, pickles and goes into JSON as one.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dashscope._api.requestor import Requestor
from dashscope._common.json import is_array, is_object
from dashscope._common.media_types import type_of
from dashscope._common.urls import is_data, path_of
from dashscope._files import saving
from dashscope._files.download import DATA_URI, AsyncDownload, DataDownload, size_by
from dashscope.types import _notebook
from dashscope.types.http import Headers

_URL = re.compile(r"(?:https?://[^\s/?#]|data:[^\s,]*,)\S*", re.IGNORECASE)


class AsyncFileOutput(str):
    """A file that a model made: the `str` is its URL.

    ```python
    output = await client.run("dashscope/thumbnail", {"image": Path("photo.png")})
    await output.save("thumbnail.png")
    ```
    """

    __slots__ = ("_api", "_headers")
    if TYPE_CHECKING:
        _api: Requestor
        _headers: Headers | None

    def __new__(cls, url: str, api: Requestor) -> Self:
        self = super().__new__(cls, url)
        self._api = api
        self._headers = None
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        # Elsewhere there is no client to read with: pickled and copied, it is the plain URL.
        return str, (str(self),)

    @property
    def content_type(self) -> str | None:
        """The media type: as the server said when it was read, before that by its name."""
        if self._headers is not None:
            return self._headers.get("content-type")
        if (data := DATA_URI.fullmatch(self)) is not None:
            return data[1] or "text/plain"
        return type_of(path_of(self))

    @property
    def filename(self) -> str:
        """A name for the file, never a path: by its URL, once it was read as the server said."""
        return saving.name_of(self, self._headers or Headers({}))

    @property
    def size(self) -> int | None:
        """The length in bytes, known once it was read and where the server names it."""
        return None if self._headers is None else size_by(self._headers)

    async def read(self) -> bytes:
        """The file's content, up to the client's `max_response_bytes`.

        Raises:
            APIStatusError: when the server does not give it.
            FileError: when it is a data URI that cannot be decoded.
        """
        async with self._source() as download:
            self._headers = download.headers
            return await download.read()

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the file; a folder takes the name that the server gives it.

        It appears under its name when it is whole, never before.

        Args:
            path: the file, or an existing folder (or a path that ends in a slash); `~` is the
                home folder.
            overwrite: whether to replace an existing file.

        Returns:
            The path of the file.

        Raises:
            FileError: when it exists already, or cannot be written.
        """
        saving.check(path, overwrite=overwrite)  # before anything is asked for
        async with self._source() as download:
            self._headers = download.headers
            return await download.save(path, overwrite=overwrite)

    async def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        """The file's content piece by piece, in constant memory."""
        async with (
            self._source() as download,
            contextlib.aclosing(download.iter_bytes()) as chunks,
        ):
            self._headers = download.headers
            async for chunk in chunks:
                yield chunk

    def _repr_html_(self) -> str:
        return _notebook.file(str(self), self.content_type)

    def _source(self) -> AsyncDownload:
        return (DataDownload if is_data(self) else AsyncDownload)(self._api, str(self))


AsyncFileOutput.__module__ = "dashscope"


def wrap_file_outputs(output: Any, api: Requestor) -> Any:
    """The output with a file output in place of every URL, in the client's flavor."""
    # Without recursion: JSON may be nested deeper than functions may.
    claimed: list[Any] = [output]
    places: list[dict[str, Any] | list[Any]] = [claimed]
    while places:
        place: Any = places.pop()
        items: Any = place.items() if is_object(place) else enumerate(place)
        for key, value in items:
            if isinstance(value, str):
                if _URL.fullmatch(value):
                    place[key] = api.runtime.own(AsyncFileOutput(value, api))
            elif is_object(value) or is_array(value):
                place[key] = inside = value.copy()
                places.append(inside)
    return claimed[0]
