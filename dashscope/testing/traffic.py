"""`Traffic`: clients whose requests go through a transport that records, or replays.

The file has a JSON object a line: first where the API was, then a request with its answer each.
It is meant to be read and to be committed: no token is in it, no cookie, no upload, and nothing
under a name like `secret`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from dashscope import AsyncClient, Client
from dashscope.testing.exchange import Scrub, Scrubber

FORMAT: Final = 1
"""The version of the file's form."""


class Traffic(ABC):
    """A context manager, of `record()` or `replay()`, that makes clients."""

    def __init__(self, path: str | os.PathLike[str], scrub: Scrub | None) -> None:
        self._path = Path(path)
        self._scrubber = Scrubber(scrub)

    def client(self, api_token: str | None = None, *, base_url: str | None = None) -> Client:
        """A `Client`; where it replays, neither token nor address is needed.

        Args:
            api_token: the API token, by default `DASHSCOPE_API_TOKEN`.
            base_url: the API's address, by default `DASHSCOPE_BASE_URL`.
        """
        token, address = self._at(api_token, base_url)
        http = httpx.Client(transport=self._transport())
        return Client(token, base_url=address, http_client=http)

    def async_client(
        self, api_token: str | None = None, *, base_url: str | None = None
    ) -> AsyncClient:
        """An `AsyncClient`; where it replays, neither token nor address is needed.

        Args:
            api_token: the API token, by default `DASHSCOPE_API_TOKEN`.
            base_url: the API's address, by default `DASHSCOPE_BASE_URL`.
        """
        token, address = self._at(api_token, base_url)
        http = httpx.AsyncClient(transport=self._async_transport())
        return AsyncClient(token, base_url=address, http_client=http)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self._finish()

    @abstractmethod
    def _at(self, api_token: str | None, base_url: str | None) -> tuple[str | None, str | None]:
        """The token and the address of a client."""

    @abstractmethod
    def _transport(self) -> httpx.BaseTransport: ...

    @abstractmethod
    def _async_transport(self) -> httpx.AsyncBaseTransport: ...

    @abstractmethod
    def _finish(self) -> None:
        """End a block that went well."""
