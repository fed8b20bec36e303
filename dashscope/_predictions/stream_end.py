"""`StreamEndListener`: learns from a prediction's stream that the prediction has finished.

The stream only tells when to poll. It is never the source of the result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from dashscope._api.fetch import fetch
from dashscope._api.requestor import Requestor
from dashscope._common.deadline import Deadline
from dashscope._common.logging import logger
from dashscope._common.urls import shown
from dashscope._errors import APIError
from dashscope._transport.bodies import Body

STREAM_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",
    "Cache-Control": "no-store",
}
LONGEST_SILENCE: Final = 35.0
"""Seconds without a byte after which a stream is abandoned.

Servers send a comment at least every 30 s.
"""
MOST_BYTES: Final = 1024 * 1024
"""The most bytes to read: a larger output is not worth transferring twice."""

_END: Final = re.compile(rb"[\r\n]event: ?(?:done|error)[\r\n]")
_LONGEST_END: Final = len(b"\nevent: error\n")


class StreamEndListener:
    """Listens to a prediction's stream until it tells that the prediction is finished.

    Args:
        api: The API.
        url: The prediction's `urls.stream`.
        deadline: When to stop listening.

    Attributes:
        has_events: Whether the stream brought an event, rather than only comments.
    """

    def __init__(self, api: Requestor, url: str, deadline: Deadline) -> None:
        self._api = api
        self._url = url
        self._deadline = deadline
        self.has_events = False

    async def listen(self) -> bool:
        """Listen.

        Returns:
            Whether the stream told that the prediction is finished. False if it was rejected,
            broke or fell silent, or if the client listens to enough streams already.
        """
        api = self._api
        if not api.state.stream_slots.acquire():
            return False
        try:
            body = await fetch(
                api,
                self._url,
                headers=STREAM_HEADERS,
                deadline=self._deadline,
                read_timeout=LONGEST_SILENCE,
            )
            try:
                return body.status == HTTPStatus.OK and await self._read(body)
            finally:
                await body.aclose()
        except APIError as error:
            logger.info("stopped listening to %s: %s", shown(self._url), error)
            return False
        finally:
            api.state.stream_slots.release()

    async def _read(self, body: Body) -> bool:
        tail, size = b"\n", 0
        while size <= MOST_BYTES:
            chunk: bytes | None = None
            with self._api.runtime.bound(self._deadline):
                chunk = await body.chunk()
            if chunk is None:
                return False
            size += len(chunk)
            tail += chunk
            if _END.search(tail):
                return True
            self.has_events = self.has_events or b"event:" in tail
            tail = tail[-_LONGEST_END:]
        return False
