"""`record()`: write real traffic to a file."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator

import httpx

from dashscope._config import DEFAULT_BASE_URL
from dashscope.testing.exchange import Exchange, Scrub
from dashscope.testing.traffic import FORMAT, Traffic


def record(path: str | os.PathLike[str], *, scrub: Scrub | None = None) -> Traffic:
    """Record the requests of clients and the responses of the real API.

    Args:
        path: The file, which is written if the block ends without an exception.
        scrub: A function that is called with the JSON of each body and returns what to write. Pass
            the same function to `replay()`.

    Returns:
        A context manager. Its `client()` and `async_client()` are recorded.

    Raises:
        OSError: If the file cannot be written. Raised at the end of the block.

    Example:
        ```python
        with record("traffic.jsonl") as traffic:
            traffic.client().run("dashscope/hello-world", {"text": "Alice"})
        ```
    """
    return Recorder(path, scrub)


class Recorder(Traffic):
    """Sends requests to the real API and records them."""

    def __init__(self, path: str | os.PathLike[str], scrub: Scrub | None) -> None:
        super().__init__(path, scrub)
        self._base_url = DEFAULT_BASE_URL
        self._exchanges: list[Exchange] = []
        # One connection per request, so that no connection outlives its event loop.
        self._limits = httpx.Limits(max_keepalive_connections=0)

    def _at(self, api_token: str | None, base_url: str | None) -> tuple[str | None, str | None]:
        self._base_url = base_url or os.environ.get("DASHSCOPE_BASE_URL") or DEFAULT_BASE_URL
        return api_token, base_url

    def _transport(self) -> httpx.BaseTransport:
        return _RecordingTransport(self, httpx.HTTPTransport(limits=self._limits))

    def _async_transport(self) -> httpx.AsyncBaseTransport:
        return _AsyncRecordingTransport(self, httpx.AsyncHTTPTransport(limits=self._limits))

    def _finish(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        head = json.dumps({"dashscope_traffic": FORMAT, "base_url": self._base_url})
        lines = [head, *(exchange.line() for exchange in self._exchanges), ""]
        partial = self._path.with_name(f"{self._path.name}.part")
        partial.write_text("\n".join(lines), encoding="utf-8")
        partial.replace(self._path)

    def prepare(self, request: httpx.Request) -> None:
        """Request an unencoded response, and note the token that must not be written."""
        request.headers["accept-encoding"] = "identity"
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and token:
            self._scrubber.secrets.add(token)

    def note(self, request: httpx.Request, response: httpx.Response, content: bytes) -> None:
        """Record a finished exchange."""
        scrubber = self._scrubber
        self._exchanges.append(
            Exchange(
                request.method,
                scrubber.url(request),
                scrubber.sent(request),
                scrubber.answer(response, content),
            )
        )


class _RecordingTransport(httpx.BaseTransport):
    def __init__(self, recorder: Recorder, inner: httpx.BaseTransport) -> None:
        self._recorder = recorder
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self._recorder.prepare(request)
        response = self._inner.handle_request(request)
        stream = _RecordedStream(self._recorder, request, response)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)


class _AsyncRecordingTransport(httpx.AsyncBaseTransport):
    def __init__(self, recorder: Recorder, inner: httpx.AsyncBaseTransport) -> None:
        self._recorder = recorder
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self._recorder.prepare(request)
        response = await self._inner.handle_async_request(request)
        stream = _AsyncRecordedStream(self._recorder, request, response)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)


class _RecordedStream(httpx.SyncByteStream):
    def __init__(
        self, recorder: Recorder, request: httpx.Request, response: httpx.Response
    ) -> None:
        self._recorder, self._request, self._response = recorder, request, response
        self._content = b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._response.iter_raw():
            self._content += chunk
            yield chunk

    def close(self) -> None:
        self._response.close()
        self._recorder.note(self._request, self._response, self._content)


class _AsyncRecordedStream(httpx.AsyncByteStream):
    def __init__(
        self, recorder: Recorder, request: httpx.Request, response: httpx.Response
    ) -> None:
        self._recorder, self._request, self._response = recorder, request, response
        self._content = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_raw():
            self._content += chunk
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()
        self._recorder.note(self._request, self._response, self._content)
