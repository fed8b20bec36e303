"""`AsyncDownload`: the bytes behind a URL, read, saved or iterated over as they come.

Where the connection breaks, the rest is asked for. A data URI is read by the same means.
"""

from __future__ import annotations

import base64
import contextlib
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
"""Bytes that are handed to a thread to be written: each hand-over costs as much as many of them."""

DATA_URI: Final = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)", re.IGNORECASE | re.DOTALL)


class AsyncDownload:
    """The bytes behind a URL, as they come: `async with`, then read, save or iterate."""

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
        """Where they come from."""
        return self._url

    @property
    def headers(self) -> Headers:
        """The answer's headers, once inside the `async with` block; the keys ignore case."""
        self._opened()
        return cast("Headers", self._headers)

    @property
    def content_type(self) -> str | None:
        """The media type, where the server names it."""
        return self.headers.get("content-type")

    @property
    def size(self) -> int | None:
        """The length in bytes, where the server names it."""
        return size_by(self.headers)

    async def read(self) -> bytes:
        """All of it, up to the client's `max_response_bytes`."""
        self._check_untouched()
        limit = self._api.config.max_response_bytes
        pieces: list[bytes] = []
        while (chunk := await self._chunk()) is not None:
            if self._received > limit:
                raise APIResponseError(
                    f"{shown(self.url)} has more than {limit} bytes (max_response_bytes): "
                    "save it to a file, or iterate over it."
                )
            pieces.append(chunk)
        return b"".join(pieces)

    async def iter_bytes(self) -> AsyncGenerator[bytes, None]:
        """Piece by piece, in constant memory."""
        while (chunk := await self._chunk()) is not None:
            yield chunk

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save it to a file; a folder takes the name that the server gives it.

        The file appears under its name when it is whole, never before.

        Args:
            path: the file, or an existing folder (or a path that ends in a slash); `~` is the
                home folder.
            overwrite: whether to replace an existing file.

        Returns:
            The path of the file.

        Raises:
            FileError: when it exists already, or cannot be written.
        """
        text = saving.check(path, overwrite=overwrite)
        self._check_untouched()
        name = saving.safe_name(self._filename or "") or saving.name_of(self.url, self.headers)
        in_thread = self._api.runtime.in_thread
        target = Path(text)
        try:
            target = await in_thread(saving.target, text, name)
            if not overwrite and await in_thread(target.exists):
                raise FileError(f"{target} exists already: pass overwrite=True to replace it")
            await in_thread(saving.make_folder, target.parent)
            handle, partial = await in_thread(saving.open_partial, target)
            try:
                while chunks := await self._chunks(WRITTEN_AT_ONCE):
                    await in_thread(saving.write, handle, chunks)
                await in_thread(os.close, handle)
                handle = -1
                await in_thread(saving.publish, partial, target, overwrite)
            finally:
                if handle >= 0:
                    os.close(handle)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(partial)  # noqa: PTH108
        except DashscopeError:  # of these, a time-out is an OSError too
            raise
        except (OSError, ValueError) as error:  # the latter for a path with a null in it
            reason = f"{target} cannot be written: {error}"
        else:
            return target
        raise FileError(reason)

    async def __aenter__(self) -> Self:
        if self._body is not None:
            raise RuntimeError("a download is used once: ask for another one")
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
        """Open it, as often as a read may be repeated."""
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
        """The error that ends the download."""
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
            raise RuntimeError("this download has been read to its end: open another one")
        if self._left:
            raise RuntimeError("this download is read inside its block: open another one")

    def _check_untouched(self) -> None:
        """Refuse to give the rest for the whole."""
        self._check_unread()
        if self._received:
            raise RuntimeError("a part of this download has been read: open another one")

    async def _chunks(self, size: int) -> list[bytes]:
        """The next pieces, of so many bytes together or a little more; none at the end."""
        chunks: list[bytes] = []
        while size > 0 and not self._ended:
            chunk = await self._chunk()
            if chunk is not None:
                chunks.append(chunk)
                size -= len(chunk)
        return chunks

    async def _chunk(self) -> bytes | None:
        """The next piece; where the connection breaks, the rest is asked for."""
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
                    f"The connection broke (at {self._received} of {self._expected} bytes): "
                    f"GET {shown(self.url)}.",
                    request_sent=True,
                )
            if not await self._resume(failure):
                raise self._last(failure)

    async def _resume(self, failure: APIConnectionError) -> bool:
        """Ask for what is still missing, if the server has it as it was."""
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
        """Is this what is missing, of the file that came so far?"""
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
    """What a data URI holds, in the form of a download."""

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
    """The media type and the content of a data URI.

    Raises:
        FileError: when it is not one.
    """
    match = DATA_URI.fullmatch(uri)
    if match is None:
        raise FileError(f"{uri[:60]!r} is not a data URI")
    kind, parameters, data = match.groups()
    if parameters.lower().endswith(";base64"):
        try:
            return kind or "text/plain", base64.b64decode(unquote(data), validate=True)
        except ValueError as error:
            raise FileError(f"{uri[:60]!r} does not hold valid base64: {error}") from error
    return kind or "text/plain", unquote_to_bytes(data)


def _is_encoded(headers: Headers) -> bool:
    return headers.get("content-encoding", "identity") != "identity"


def size_by(headers: Headers) -> int | None:
    """The length in bytes that an answer names, where it is that of the content."""
    if _is_encoded(headers):
        return None  # the length is that of the encoded bytes
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None
