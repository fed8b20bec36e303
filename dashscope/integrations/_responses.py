"""Responses that relay a model's events or file while they are produced.

They read only as fast as the client reads, and stop when the client disconnects, even while there
is nothing to send.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import aclosing
from typing import Final, Literal
from urllib.parse import quote

import anyio
from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from dashscope._common.logging import logger
from dashscope._errors import DashscopeError, ModelError, PredictionTimeoutError
from dashscope._files.file_output import AsyncFileOutput
from dashscope._predictions.stream import AsyncEventStream
from dashscope.integrations._disconnect import ClientDisconnectedError, beside, until_gone
from dashscope.types.event import Event, LogsEvent

PING_INTERVAL: Final = 15.0
"""Seconds without an event after which a comment is sent, so that proxies keep the connection."""

_LINE_ENDS = re.compile(r"\r\n|\r|\n")


class _Relay(Response):
    """A response whose body is relayed."""

    def __init__(
        self,
        status_code: int,
        headers: Mapping[str, str] | None,
        media_type: str | None,
        background: BackgroundTask | None,
    ) -> None:
        # Response.__init__ would set a body and its length.
        self.status_code = status_code
        self.media_type = media_type
        self.background = background
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sender = _Sender(send)
        try:
            async with beside(lambda: until_gone(receive)):
                await self._relay(sender, head_only=scope.get("method") == "HEAD")
                await sender.chunk(b"", more=False)
        except ClientDisconnectedError:
            if not sender.started:
                raise
            logger.debug("the client of a %s disconnected", type(self).__name__)
        if self.background is not None:
            await self.background()

    @abstractmethod
    async def _relay(self, sender: _Sender, *, head_only: bool) -> None:
        """Send the response, without a body if `head_only`. Errors before the start are raised."""

    async def _start(self, sender: _Sender) -> None:
        await sender.send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )


class _Sender:
    """Sends the messages of several tasks one at a time."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = anyio.Lock()
        self.started = False

    async def send(self, message: Message) -> None:
        """Send a message."""
        async with self._turn:
            try:
                await self._send(message)
            except OSError:  # some servers raise it when the client has disconnected
                raise ClientDisconnectedError from None
            self.started = True

    async def chunk(self, data: bytes, *, more: bool = True) -> None:
        """Send a piece of the body."""
        await self.send({"type": "http.response.body", "body": data, "more_body": more})


class EventStreamResponse(_Relay):
    """Relays the events of a stream to a browser, as server-sent events.

    The prediction is created when the response is sent. Errors before that (an unknown model, an
    invalid input) are raised, and the application's exception handlers respond to them. If the
    client disconnects, the prediction is canceled. If the client reads slowly, the stream waits.

    The events have the API's names: `output` and finally `done`, or an `error` whose data is
    `{"detail": "..."}`. Close the `EventSource` after either of them, or the browser repeats the
    request.

    Args:
        stream: The stream, not entered yet: `client.stream(...)`, or
            `client.predictions.stream(...)`, which does not cancel the prediction.
        logs: Whether to relay what the model prints, as `logs`. Logs may be private: those of the
            local server contain the traceback of a failed model.
        status_code: The HTTP status.
        headers: Further headers.
        background: A task to run afterwards.

    Example:
        ```python
        from fastapi import FastAPI
        from dashscope.integrations.fastapi import ClientDep, EventStreamResponse, lifespan

        app = FastAPI(lifespan=lifespan())

        @app.get("/countdown")
        async def countdown(start: int, client: ClientDep) -> EventStreamResponse:
            return EventStreamResponse(client.stream("dashscope/countdown", {"start": start}))
        ```
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        stream: AsyncEventStream,
        *,
        logs: bool = False,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        if not isinstance(stream, AsyncEventStream):
            raise TypeError(
                f"stream must be an event stream of AsyncClient.stream(), not {stream!r}"
            )
        # Caches and nginx must not buffer events.
        ours = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(status_code, {**ours, **(headers or {})}, self.media_type, background)
        self._stream = stream
        self._logs = logs

    async def _relay(self, sender: _Sender, *, head_only: bool) -> None:
        if head_only:  # create no prediction for events that nobody reads
            return await self._start(sender)
        async with self._stream as stream:
            await self._start(sender)
            async with beside(lambda: _ping(sender)):
                try:
                    async for event in stream:
                        if isinstance(event, LogsEvent) and not self._logs:
                            continue
                        await sender.chunk(encoded(event))
                except DashscopeError as error:
                    logger.warning("a relayed stream failed: %s", error)
                    await sender.chunk(_event("error", json.dumps({"detail": _detail(error)})))


async def _ping(sender: _Sender) -> None:
    while True:
        await anyio.sleep(PING_INTERVAL)
        await sender.chunk(b":\n\n")


def encoded(event: Event) -> bytes:
    """Return an event as server-sent event text."""
    sent = event.to_dict()
    return _event(sent["event"], sent["data"], sent["id"])


def _event(name: str, data: str, id: str | None = None) -> bytes:
    lines = [f"event: {name}"]
    if id is not None:
        lines.append(f"id: {id}")
    lines += [f"data: {line}" for line in _LINE_ENDS.split(data)]
    # JSON may contain lone surrogates, which UTF-8 cannot encode.
    return ("\n".join(lines) + "\n\n").encode(errors="replace")


def _detail(error: DashscopeError) -> str:
    """Return the part of an error that a client may see. The log has the rest."""
    if isinstance(error, ModelError):
        return error.prediction.error or "The model failed."
    if isinstance(error, PredictionTimeoutError):
        return "The model took too long."
    return "The output broke off."


class FileOutputResponse(_Relay):
    """Relays a file that a model returned.

    The response has the type, length and name that the server sent. The file is sent as a download,
    which `<img>` elements can display. With `inline`, a browser may treat the model's output as a
    page of your site.

    Args:
        output: The file output, from `run()` of an `AsyncClient`.
        filename: The name. Defaults to the server's.
        content_disposition_type: `attachment` or `inline`.
        status_code: The HTTP status.
        headers: Further headers.
        background: A task to run afterwards.

    Example:
        ```python
        from fastapi import FastAPI
        from dashscope.integrations.fastapi import ClientDep, FileOutputResponse, lifespan

        app = FastAPI(lifespan=lifespan())

        @app.get("/thumbnail")
        async def thumbnail(url: str, client: ClientDep) -> FileOutputResponse:
            return FileOutputResponse(await client.run("dashscope/thumbnail", {"image": url}))
        ```
    """

    def __init__(
        self,
        output: AsyncFileOutput,
        *,
        filename: str | None = None,
        content_disposition_type: Literal["attachment", "inline"] = "attachment",
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        if not isinstance(output, AsyncFileOutput):
            raise TypeError(
                "output must be a file output of AsyncClient.run(), for a model that returns a "
                f"file, not {output!r}"
            )
        if content_disposition_type not in ("attachment", "inline"):
            raise ValueError(
                "content_disposition_type must be attachment or inline, not "
                f"{content_disposition_type!r}"
            )
        # Browsers must use the declared type, and not guess from the content.
        ours = {"x-content-type-options": "nosniff"}
        super().__init__(status_code, {**ours, **(headers or {})}, None, background)
        self._output = output
        self._filename = filename
        self._disposition = content_disposition_type

    async def _relay(self, sender: _Sender, *, head_only: bool) -> None:
        async with aclosing(self._output.iter_bytes()) as chunks:
            first = await anext(chunks, b"")
            self._describe()
            await self._start(sender)
            if head_only:
                return
            await sender.chunk(first)
            async for chunk in chunks:
                await sender.chunk(chunk)

    def _describe(self) -> None:
        """Set the headers that are known once the first bytes have arrived."""
        name = self._output.filename if self._filename is None else self._filename
        kind = self._output.content_type or ""
        if not (kind and kind.isascii() and kind.isprintable()):  # the type comes from the model
            kind = "application/octet-stream"
        self.headers.setdefault("content-type", kind)
        self.headers.setdefault("content-disposition", _disposition(self._disposition, name))
        if self._output.size is not None:
            self.headers["content-length"] = str(self._output.size)


def _disposition(kind: str, name: str) -> str:
    quoted = quote(name, safe="", errors="replace")
    return f'{kind}; filename="{name}"' if quoted == name else f"{kind}; filename*=utf-8''{quoted}"
