"""File outputs: `AsyncFileOutput`, a URL that can also be read and saved.

`wrap_file_outputs()` replaces every URL in an output by a file output. A file output *is* its URL,
a `str`: it prints, compares, pickles and serializes to JSON as text.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from dashscope._api.requestor import Requestor
from dashscope._common.hints import NEEDS_CLIENT, unknown_attribute
from dashscope._common.json import is_array, is_object
from dashscope._common.media_types import type_of
from dashscope._common.urls import is_data, path_of
from dashscope._common.validation import check_str, shown
from dashscope._files import saving
from dashscope._files.download import DATA_URI, AsyncDownload, DataDownload, size_by
from dashscope.types import _notebook
from dashscope.types.http import Headers

_URL = re.compile(r"(?:https?://[^\s/?#]|data:[^\s,]*,)\S*", re.IGNORECASE)


class AsyncFileOutput(str):
    """A file that a model returned. The `str` is its URL.

    Example:
        ```python
        output = await client.run("dashscope/thumbnail", {"image": Path("photo.png")})
        await output.save("thumbnail.png")
        ```
    """

    __slots__ = ("_api", "_headers")
    if TYPE_CHECKING:
        _api: Requestor
        _headers: Headers | None

    def __new__(cls, url: str, api: Requestor | None = None) -> Self:
        if api is None:
            raise TypeError(NEEDS_CLIENT)
        self = super().__new__(cls, url)
        self._api = api
        self._headers = None
        return self

    if not TYPE_CHECKING:  # type checkers must report unknown attributes
        __getattr__ = unknown_attribute

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle or copy has no client to read with, so it is the plain URL.
        return str, (str(self),)

    @property
    def content_type(self) -> str | None:
        """The media type: guessed from the URL, or the server's once the file was read."""
        if self._headers is not None:
            return self._headers.get("content-type")
        if (data := DATA_URI.fullmatch(self)) is not None:
            return data[1] or "text/plain"
        return type_of(path_of(self))

    @property
    def filename(self) -> str:
        """A safe name for the file, never a path.

        It is derived from the URL, or sent by the server once the file was read.
        """
        return saving.name_of(self, self._headers or Headers({}))

    @property
    def size(self) -> int | None:
        """The length in bytes. `None` until the file was read, or if the server sends no length."""
        return None if self._headers is None else size_by(self._headers)

    async def read(self) -> bytes:
        """Read all of the file into memory.

        Returns:
            The content.

        Raises:
            APIStatusError: If the server responds with an error.
            APIResponseError: If the file is larger than the client's `max_response_bytes`.
            FileError: If the URL is a malformed data URI.

        Example:
            ```python
            output = await client.run("dashscope/thumbnail", {"image": Path("photo.png")})
            content = await output.read()
            ```

        Endpoint: `GET` of the URL.
        """
        async with self._source() as download:
            self._headers = download.headers
            return await download.read()

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the file.

        The file gets its final name only when it is complete.

        Args:
            path: A file, or an existing folder (or a path that ends in a slash), in which the file
                gets the name that the server sends. `~` is the home folder.
            overwrite: Whether to replace an existing file.

        Returns:
            The path of the file.

        Raises:
            FileError: If the file exists or cannot be written.
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            output = await client.run("dashscope/thumbnail", {"image": Path("photo.png")})
            path = await output.save("downloads/")
            ```

        Endpoint: `GET` of the URL.
        """
        saving.check(path, overwrite=overwrite)  # before the request
        async with self._source() as download:
            self._headers = download.headers
            return await download.save(path, overwrite=overwrite)

    async def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the file in pieces, in constant memory.

        Returns:
            An async generator of bytes.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            output = await client.run("dashscope/thumbnail", {"image": Path("photo.png")})
            async for piece in output.iter_bytes():
                print(len(piece))
            ```

        Endpoint: `GET` of the URL.
        """
        # sync doc: An async generator of -> An iterator over
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


async def download(
    api: Requestor, url: str, path: str | os.PathLike[str], *, overwrite: bool
) -> Path:
    """Save the content of a URL. `AsyncClient.download` describes the arguments."""
    if not _URL.fullmatch(check_str("url", url)):
        raise ValueError(f"url must be an http or https URL or a data URI, not {shown(url)}")
    return await AsyncFileOutput(url, api).save(path, overwrite=overwrite)


def files_in(output: Any, api: Requestor) -> list[AsyncFileOutput]:
    """Return the file outputs in an output, of the client's flavor, in their order."""
    found: list[Any] = []
    places = [wrap_file_outputs(output, api)]
    while places:
        place = places.pop()
        if is_object(place):
            places += reversed(place.values())
        elif is_array(place):
            places += reversed(place)
        elif isinstance(place, str) and _URL.fullmatch(place):
            found.append(place)
    return found


def wrap_file_outputs(output: Any, api: Requestor) -> Any:
    """Return an output with a file output of the client's flavor in place of every URL."""
    # Not recursive, because JSON may be nested deeper than Python's recursion limit.
    wrapped: list[Any] = [output]
    places: list[dict[str, Any] | list[Any]] = [wrapped]
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
    return wrapped[0]
