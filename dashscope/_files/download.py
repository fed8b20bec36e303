"""`AsyncDownload`: the content of a URL, to read, save or iterate over.

If the connection breaks, the download requests the rest. A data URI is read in the same way.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import AsyncGenerator, Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast
from urllib.parse import unquote, unquote_to_bytes

from dashscope._api.fetch import fetch, fetch_error
from dashscope._api.requestor import Requestor
from dashscope._api.retry import RETRIED_STATUSES, attempt_result
from dashscope._common.deadline import Deadline
from dashscope._common.urls import shown
from dashscope._errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    DashscopeError,
    FileError,
)
from dashscope._files import saving
from dashscope._transport.bodies import Body
from dashscope.types.http import Headers

WRITTEN_AT_ONCE: Final = 1024 * 1024
"""How many bytes to hand to a writing thread at once. Each switch to the thread is expensive."""

DATA_URI: Final = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)", re.IGNORECASE | re.DOTALL)


class AsyncDownload:
    """The content of a URL. Enter it with `async with`, then read, save or iterate over it.

    Example:
        ```python
        async with client.files.download(
            file, owner=owner, expiry=expiry, signature=signature
        ) as download:
            content = await download.read()
        ```
    """

    def __init__(self, api: Requestor, url: str, *, filename: str | None = None) -> None:
        self._url = url
        self._api = api
        self._filename = filename
        self._body: Body | None = None
        self._headers: Headers | None = None
        self._received = 0
        self._expected: int | None = None
        self._failures = 0
        self._attempts = 0
        self._started = 0.0
        self._ended = False
        self._left = False

    @property
    def url(self) -> str:
        """The URL of the content."""
        return self._url

    @property
    def headers(self) -> Headers:
        """The response headers, available inside the `async with` block. Names ignore case."""
        self._opened()
        return cast("Headers", self._headers)

    @property
    def content_type(self) -> str | None:
        """The media type, or `None` if the server does not send one."""
        return self.headers.get("content-type")

    @property
    def size(self) -> int | None:
        """The length in bytes, or `None` if the server does not send one."""
        return size_by(self.headers)

    async def read(self) -> bytes:
        """Read all of the content into memory.

        Returns:
            The content.

        Raises:
            APIResponseError: If the content is larger than the client's `max_response_bytes`.
            APIConnectionError: If the connection breaks and the rest cannot be requested.
            RuntimeError: If a part of the download was read before.

        Example:
            ```python
            async with client.files.download(
                file, owner=owner, expiry=expiry, signature=signature
            ) as download:
                content = await download.read()
            ```

        Endpoint: `GET` of the URL.
        """
        self._check_untouched()
        limit = self._api.config.max_response_bytes
        pieces: list[bytes] = []
        while (chunk := await self._chunk()) is not None:
            if self._received > limit:
                raise APIResponseError(
                    f"The content of {shown(self.url)} is larger than {limit} bytes "
                    "(max_response_bytes). Use save() or iter_bytes()."
                )
            pieces.append(chunk)
        return b"".join(pieces)

    async def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Iterate over the content in pieces, in constant memory.

        Returns:
            An async generator of bytes.

        Raises:
            APIConnectionError: If the connection breaks and the rest cannot be requested.

        Example:
            ```python
            async with client.files.download(
                file, owner=owner, expiry=expiry, signature=signature
            ) as download:
                async for piece in download.iter_bytes():
                    print(len(piece))
            ```

        Endpoint: `GET` of the URL.
        """
        # sync doc: An async generator of -> An iterator over
        while (chunk := await self._chunk()) is not None:
            yield chunk

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the content to a file.

        The file gets its final name only when it is complete.

        Args:
            path: A file, or an existing folder (or a path that ends in a slash), in which the file
                gets the name that the server sends. `~` is the home folder.
            overwrite: Whether to replace an existing file.

        Returns:
            The path of the file.

        Raises:
            FileError: If the file exists or cannot be written.
            APIConnectionError: If the connection breaks and the rest cannot be requested.

        Example:
            ```python
            async with client.files.download(
                file, owner=owner, expiry=expiry, signature=signature
            ) as download:
                path = await download.save("downloads/")
            ```

        Endpoint: `GET` of the URL.
        """
        text = saving.check(path, overwrite=overwrite)
        self._check_untouched()
        name = saving.safe_name(self._filename or "") or saving.name_of(self.url, self.headers)
        in_thread = self._api.runtime.in_thread
        target = Path(text)
        try:
            target = await in_thread(saving.target, text, name)
            if not overwrite and await in_thread(target.exists):
                raise FileError(f"{target} already exists: pass overwrite=True to replace it")
            await in_thread(saving.make_folder, target.parent)
            partial = saving.PartialFile(target)
            try:
                await in_thread(partial.open)
                while chunks := await self._chunks(WRITTEN_AT_ONCE):
                    await in_thread(partial.write, chunks)
                await in_thread(partial.close)
                await in_thread(partial.publish, overwrite)
            finally:
                partial.discard()
        except DashscopeError:  # APITimeoutError is also an OSError
            raise
        except (OSError, ValueError) as error:  # ValueError: a null character in the path
            reason = f"{target} cannot be written: {error}"
        else:
            return target
        raise FileError(reason)

    async def __aenter__(self) -> Self:
        if self._body is not None:
            raise RuntimeError("a download can be used only once: create another one")
        body = await self._first()
        self._body, self._headers = body, body.headers
        self._expected = self.size
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left = True
        if self._body is not None:
            await self._body.aclose()

    def _opened(self) -> Body:
        if self._body is None:
            raise self._api.runtime.unopened("a download", "files.download(...) as download")
        return self._body

    async def _first(self) -> Body:
        """Send the first request, with the retries of any idempotent request."""
        self._started = time.monotonic()
        while True:
            error: APIError
            try:
                body = await self._open({})
            except APIConnectionError as failure:
                error = failure
            else:
                if body.status == HTTPStatus.OK:
                    return body
                error = await fetch_error(self._api, body)
            elapsed = time.monotonic() - self._started
            pause = self._api.retry_delay(
                attempt_result(error), self._attempts, elapsed, Deadline.NEVER, repeatable=True
            )
            if pause is None:
                raise self._last(error)
            await self._api.runtime.sleep(pause)

    def _last(self, error: APIError) -> APIError:
        """Return the error that ends the download."""
        elapsed = time.monotonic() - self._started
        return error.after(attempts=self._attempts, elapsed=elapsed, may_have_been_created=False)

    async def _open(self, headers: Mapping[str, str]) -> Body:
        self._attempts += 1
        return await fetch(
            self._api,
            self.url,
            headers={"Accept-Encoding": "identity", **headers},
            deadline=Deadline.after(self._api.config.timeout),
        )

    def _check_unread(self) -> None:
        if self._ended:
            raise RuntimeError("this download was read to its end: create another one")
        if self._left:
            raise RuntimeError("this download was closed: read it inside its block")

    def _check_untouched(self) -> None:
        """Raise if a part was read, because the rest would look like the whole content."""
        self._check_unread()
        if self._received:
            raise RuntimeError("a part of this download was read before: create another one")

    async def _chunks(self, size: int) -> list[bytes]:
        """Return the next pieces, with `size` bytes or slightly more in total. Empty at the end."""
        chunks: list[bytes] = []
        while size > 0 and not self._ended:
            chunk = await self._chunk()
            if chunk is not None:
                chunks.append(chunk)
                size -= len(chunk)
        return chunks

    async def _chunk(self) -> bytes | None:
        """Return the next piece, or `None` at the end. Resumes if the connection breaks."""
        self._check_unread()
        while True:
            try:
                chunk = await self._opened().chunk()
            except APIConnectionError as error:
                failure = error
            else:
                if chunk is not None:
                    self._received += len(chunk)
                    self._failures = 0
                    return chunk
                if self._expected in (None, self._received):
                    self._ended = True
                    return None
                failure = APIConnectionError(
                    f"The connection broke after {self._received} of {self._expected} bytes: "
                    f"GET {shown(self.url)}.",
                    request_sent=True,
                )
            if not await self._resume(failure):
                raise self._last(failure)

    async def _resume(self, failure: APIConnectionError) -> bool:
        """Request the missing rest. Return false if the server does not have it unchanged."""
        etag = self.headers.get("etag", "")
        if not etag.startswith('"') or _is_encoded(self.headers):
            return False
        started = time.monotonic()
        result = attempt_result(failure)
        while True:
            self._failures += 1
            elapsed = time.monotonic() - started
            pause = self._api.retry_delay(
                result, self._failures, elapsed, Deadline.NEVER, repeatable=True
            )
            if pause is None:
                return False
            await self._api.runtime.sleep(pause)
            await self._opened().aclose()
            try:
                body = await self._open({"Range": f"bytes={self._received}-", "If-Range": etag})
            except APIConnectionError as error:
                result = attempt_result(error)
                continue
            self._body = body
            if body.status == HTTPStatus.PARTIAL_CONTENT:
                return self._goes_on(body.headers)
            if body.status not in RETRIED_STATUSES:
                return False
            result = attempt_result(await fetch_error(self._api, body))

    def _goes_on(self, headers: Headers) -> bool:
        """Return whether a response is the missing rest of the same content."""
        piece, _, total = headers.get("content-range", "").partition("/")
        etag = self.headers["etag"]
        if self._expected is None and total.isascii() and total.isdigit():
            self._expected = int(total)
        return (
            piece.partition("-")[0] == f"bytes {self._received}"
            and (self._expected is None or total in ("*", str(self._expected)))
            and headers.get("etag", etag) == etag
            and not _is_encoded(headers)
        )


AsyncDownload.__module__ = "dashscope"


class DataDownload(AsyncDownload):
    """The content of a data URI, with the interface of a download."""

    async def __aenter__(self) -> Self:
        self._body = _DataBody(self.url)
        self._headers = self._body.headers
        return self


class _DataBody(Body):
    def __init__(self, url: str) -> None:
        kind, content = decode_data_uri(url)
        headers = Headers({"content-type": kind, "content-length": str(len(content))})
        super().__init__(HTTPStatus.OK, headers, "a data URI")
        self._content: bytes | None = content

    async def chunk(self) -> bytes | None:
        content, self._content = self._content, None
        return content

    async def aclose(self) -> None:
        self._content = None


def decode_data_uri(uri: str) -> tuple[str, bytes]:
    """Return the media type and the content of a data URI.

    Raises:
        FileError: If the text is not a valid data URI.
    """
    match = DATA_URI.fullmatch(uri)
    if match is None:
        raise FileError(f"not a data URI: {uri[:60]!r}")
    kind, parameters, data = match.groups()
    if parameters.lower().endswith(";base64"):
        try:
            return kind or "text/plain", base64.b64decode(unquote(data), validate=True)
        except ValueError as error:
            raise FileError(f"a data URI has invalid base64 ({error}): {uri[:60]!r}") from error
    return kind or "text/plain", unquote_to_bytes(data)


def _is_encoded(headers: Headers) -> bool:
    return headers.get("content-encoding", "identity") != "identity"


def size_by(headers: Headers) -> int | None:
    """Return the length of the content in bytes, or `None` if the headers do not contain it."""
    if _is_encoded(headers):
        return None  # the header is the length of the encoded bytes
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None
