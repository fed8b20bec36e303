"""Uploaded files, for use in a model's input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from dashscope._api.resource import AsyncResource, id_of
from dashscope._common.deadline import Deadline
from dashscope._common.urls import absolute, path
from dashscope._common.validation import check_count, check_mapping, check_timeout, shown, texts
from dashscope._files.download import AsyncDownload
from dashscope._files.local_file import FileContent, load
from dashscope._files.uploads import create_file
from dashscope.types.file import Checksums, File, FileURLs
from dashscope.types.page import Page

__all__ = [
    "AsyncFiles",
    "Checksums",
    "File",
    "FileURLs",
]

LATEST: Final = 2**63 - 1
"""The latest signature expiry, in seconds since the epoch: the API stores 63 bits."""


class AsyncFiles(AsyncResource):
    """Uploaded files: `client.files`."""

    __slots__ = ()

    async def create(
        self,
        content: FileContent,
        *,
        filename: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        progress: Callable[[int], object] | None = None,
        timeout: float | None = None,
    ) -> File:
        """Upload a file of up to 100 MB, for use in a model's input.

        Args:
            content: A `pathlib.Path` or other path object, bytes, a file open in binary mode, or an
                image of Pillow or matplotlib, which is sent as PNG. An open file is sent from its
                current position, and returned to that position.
            filename: The name of the file. Defaults to the name in the path.
            content_type: The media type (the API's `type`). Defaults to a guess from the name.
            metadata: A JSON object to store with the file.
            progress: A plain function, called with the number of bytes sent so far. The count
                restarts at 0 with each attempt.
            timeout: Seconds that the upload may take, including retries. Defaults to the client's
                timeout.

        Returns:
            The uploaded file. Pass its `urls.get` as a model's input.

        Raises:
            FileError: If the file cannot be read or is too large. Nothing was sent.
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            file = await client.files.create(Path("photo.png"), metadata={"customer": 7})
            output = await client.run("dashscope/thumbnail", {"image": file.urls.get})
            ```

        Endpoint: `POST /files`.
        """
        if progress is not None and (
            not callable(progress) or inspect.iscoroutinefunction(progress)
        ):
            raise TypeError(f"progress must be a plain function, not {shown(progress)}")
        deadline = Deadline.after(check_timeout(timeout))
        if metadata is not None:
            check_mapping("metadata", metadata, "of names to JSON values")
        file = await load(content, self._api.runtime, filename=filename, content_type=content_type)
        api = self._api if timeout is None else self._api.with_config(timeout=None)
        try:
            return await create_file(
                api, file, metadata=metadata, progress=progress, deadline=deadline
            )
        finally:
            file.close()

    async def list(self, *, cursor: str | None = None) -> Page[File]:
        """List the account's files, newest first.

        Args:
            cursor: The page to return: the `next` or `previous` of another page. Defaults to the
                first page.

        Returns:
            A page of files.

        Raises:
            APIStatusError: If the server responds with an error.

        Example:
            ```python
            async for file in client.iterate(client.files.list, max_items=100):
                print(file.id, file.name, file.size)
            ```

        Endpoint: `GET /files`.
        """
        return await self._page(File, "/files", cursor=cursor)

    async def get(self, file: File | str) -> File:
        """Get the metadata of a file.

        Args:
            file: The file, or its id.

        Returns:
            The current metadata.

        Raises:
            NotFoundError: If there is no such file.

        Example:
            ```python
            file = await client.files.get(file.id)
            print(file.name, file.content_type, file.size)
            ```

        Endpoint: `GET /files/{file_id}`.
        """
        return await self._get(File, _path(file), id=id_of(file, File))

    async def delete(self, file: File | str) -> None:
        """Delete a file.

        Args:
            file: The file, or its id.

        Raises:
            NotFoundError: If there is no such file.

        Example:
            ```python
            file = await client.files.create(b"hello", filename="hello.txt")
            await client.files.delete(file)
            ```

        Endpoint: `DELETE /files/{file_id}`.
        """
        await self._delete(_path(file))

    def download(
        self, file: File | str, *, owner: str, expiry: int, signature: str
    ) -> AsyncDownload:
        """Download the content of a file with the parts of a signed URL.

        Args:
            file: The file, or its id.
            owner: The user or organization that uploaded the file.
            expiry: When the signature expires, in seconds since the epoch.
            signature: The base64 form of the HMAC-SHA256 of `{owner} {id} {expiry}`, computed with
                the account's file signing secret.

        Returns:
            A download, for use with `async with`. Call its `read()`, `save(path)` or
            `iter_bytes()`.

        Raises:
            ValueError: If `expiry` is out of range.
            APIStatusError: If the server refuses the signature. Raised when the download is read.

        Example:
            ```python
            async with client.files.download(
                file, owner=owner, expiry=expiry, signature=signature
            ) as download:
                await download.save("copy.png", overwrite=True)
            ```

        Endpoint: `GET /files/{file_id}/download`.
        """
        check_count("expiry", expiry, least=0, most=LATEST)
        parameters = urlencode(
            {**texts(owner=owner), "expiry": expiry, **texts(signature=signature)}
        )
        url = absolute(self._api.config.base_url, f"{_path(file)}/download?{parameters}")
        return AsyncDownload(self._api, url, filename=file.name if isinstance(file, File) else None)


def _path(file: File | str) -> str:
    return path("/files/{file_id}", file_id=id_of(file, File))
