"""Files that are uploaded to be a model's input."""

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
"""Seconds since the epoch, in the bits that the API has for them."""


class AsyncFiles(AsyncResource):
    """`client.files`."""

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
        """Upload a file of up to 100 MB, to use it in a model's input.

        Args:
            content: a `pathlib.Path`, bytes, or a file open in binary mode, which is sent from
                where it is, and left there.
            filename: its name, by default the path's.
            content_type: its media type (the API's `type`), by default guessed from the name.
            metadata: what to note with it, a JSON object.
            progress: a plain function, called with the bytes sent so far, from 0 on at each
                attempt.
            timeout: seconds the upload may take, with its retries; by default the client's.

        Raises:
            FileError: when it cannot be read, or is too large; nothing was sent then.

        ```python
        file = await client.files.create(Path("photo.png"), metadata={"customer": 7})
        output = await client.run("dashscope/thumbnail", {"image": file.urls.get})
        ```

        Endpoint: `POST /files`.
        """
        if progress is not None and (
            not callable(progress) or inspect.iscoroutinefunction(progress)
        ):
            raise TypeError(f"progress is a plain function, not {shown(progress)}")
        deadline = Deadline.after(check_timeout(timeout))
        if metadata is not None:
            check_mapping("metadata", metadata, "of names to JSON")
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

        Endpoint: `GET /files`.
        """
        return await self._page(File, "/files", cursor=cursor)

    async def get(self, file: File | str) -> File:
        """Get the metadata of a file, by its id or an older state of it.

        Endpoint: `GET /files/{file_id}`.
        """
        return await self._get(File, _path(file))

    async def delete(self, file: File | str) -> None:
        """Delete a file.

        Endpoint: `DELETE /files/{file_id}`.
        """
        await self._delete(_path(file))

    def download(
        self, file: File | str, *, owner: str, expiry: int, signature: str
    ) -> AsyncDownload:
        """Download a file's content by a signed URL's parts, as a stream.

        Args:
            file: the file, or its id.
            owner: the user or organization that uploaded it.
            expiry: when the signature ends, in seconds since the epoch.
            signature: the base64 of the HMAC-SHA256 of `{owner} {id} {expiry}` by the secret
                that files are signed with.

        Returns:
            A download, to be opened by `async with`: it has `read()`, `save(path)` and
            `iter_bytes()`.

        ```python
        async with client.files.download(
            file, owner=owner, expiry=expiry, signature=signature
        ) as download:
            await download.save("copy.png")
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
