"""Files that are uploaded to be a model's input."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from attrs import field, frozen

from dashscope._api.decoding import structure
from dashscope._api.pagination import Page
from dashscope._api.requestor import API, Call
from dashscope._api.resource import AsyncResource, id_of
from dashscope._common.deadline import Deadline
from dashscope._common.json import encode
from dashscope._common.urls import absolute, path
from dashscope._common.validation import check_count, check_mapping, check_timeout, shown, texts
from dashscope._errors import APIResponseError
from dashscope._files.download import AsyncDownload
from dashscope._files.local_file import FileContent, LocalFile, check_name, load
from dashscope.types.http import FilePart

LATEST: Final = 2**63 - 1
"""Seconds since the epoch, in the bits that the API has for them."""


@frozen(kw_only=True)
class FileURLs:
    """Where a file can be found.

    Attributes:
        get: its metadata; as a value in a model's input, the file itself.
        raw: the JSON as received.
    """

    get: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class Checksums:
    """The checksums of a file.

    Attributes:
        sha256: in hexadecimal digits.
        raw: the JSON as received.
    """

    sha256: str | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


@frozen(kw_only=True)
class File:
    """An uploaded file.

    Attributes:
        id: its id.
        name: its name.
        content_type: its media type.
        size: its length in bytes.
        etag: the tag of its content.
        checksums: its checksums.
        metadata: what its owner noted with it.
        created_at: when it was uploaded.
        expires_at: when the service removes it.
        urls: where it can be found; `urls.get` is what goes into a model's input.
        raw: the JSON as received.
    """

    id: str
    name: str | None = None
    content_type: str | None = None
    size: int | None = None
    etag: str | None = None
    checksums: Checksums | None = None
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)
    created_at: datetime | None = None
    expires_at: datetime | None = None
    urls: FileURLs | None = None
    raw: Mapping[str, Any] = field(factory=dict[str, Any], eq=False, repr=False)


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


async def create_file(
    api: API,
    file: LocalFile,
    *,
    metadata: Mapping[str, Any] | None = None,
    progress: Callable[[int], object] | None = None,
    deadline: Deadline = Deadline.NEVER,
) -> File:
    """Upload a file that has been read; a second copy harms nobody, so it may be repeated."""
    check_name(file.filename)
    fields = {"filename": file.filename, "type": file.content_type}
    if metadata is not None:
        fields["metadata"] = encode(dict(metadata)).decode()
    part = FilePart(name="content", file=file, progress=progress)
    call = Call(method="POST", path="/files", files=(part,), fields=fields, repeatable=True)
    return structure(await api.send(call, deadline=deadline), File)


async def upload(api: API, file: LocalFile, *, deadline: Deadline = Deadline.NEVER) -> str:
    """Upload a file, and give the URL that stands for it in a model's input."""
    created = await create_file(api, file, deadline=deadline)
    if created.urls is None or created.urls.get is None:
        raise APIResponseError(f"The file {created.id} was uploaded but has no urls.get.")
    return created.urls.get


def _path(file: File | str) -> str:
    return path("/files/{file_id}", file_id=id_of(file, File))
