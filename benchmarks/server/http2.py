"""A minimal HTTP/2 server for requests without a body and small responses."""

from __future__ import annotations

import asyncio
from typing import cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived

from benchmarks.server.app import App


class Connection(asyncio.Protocol):
    """A connection: every GET returns the prediction of 700 bytes."""

    def __init__(self, app: App) -> None:
        self._body = app.fixed
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._answer = [
            (":status", "200"),
            ("content-type", "application/json"),
            ("content-length", str(len(app.fixed))),
        ]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:

        self._transport = cast("asyncio.Transport", transport)
        self._h2.initiate_connection()
        transport.write(self._h2.data_to_send())

    def data_received(self, data: bytes) -> None:
        for event in self._h2.receive_data(data):
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                self._h2.send_headers(event.stream_id, self._answer)
                self._h2.send_data(event.stream_id, self._body, end_stream=True)
        self._transport.write(self._h2.data_to_send())
