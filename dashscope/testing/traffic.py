"""`Traffic`: clients whose requests go through a transport that records or replays.

The file has one JSON object per line: the address of the API, then one request with its response
each. The file is meant to be read and committed. It contains no token, cookie or uploaded file, and
no value under a name such as `secret`.
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
"""The version of the file format."""


class Traffic(ABC):
    """A context manager that creates clients. `record()` and `replay()` return it."""

    def __init__(self, path: str | os.PathLike[str], scrub: Scrub | None) -> None:
        self._path = Path(path)
        self._scrubber = Scrubber(scrub)

    def client(self, api_token: str | None = None, *, base_url: str | None = None) -> Client:
        """Return a `Client`. When replaying, neither a token nor an address is required.

        Args:
            api_token: The API token. Defaults to `DASHSCOPE_API_TOKEN`.
            base_url: The address of the API. Defaults to `DASHSCOPE_BASE_URL`.

        Returns:
            The client.

        Raises:
            ConfigurationError: If a token is required and missing.

        Example:
            ```python
            with record("traffic.jsonl") as traffic:
                traffic.client().run("dashscope/hello-world", {"text": "Alice"})
            ```
        """
        token, address = self._at(api_token, base_url)
        http = httpx.Client(transport=self._transport())
        return Client(token, base_url=address, http_client=http)

    def async_client(
        self, api_token: str | None = None, *, base_url: str | None = None
    ) -> AsyncClient:
        """Return an `AsyncClient`. When replaying, neither a token nor an address is required.

        Args:
            api_token: The API token. Defaults to `DASHSCOPE_API_TOKEN`.
            base_url: The address of the API. Defaults to `DASHSCOPE_BASE_URL`.

        Returns:
            The client.

        Raises:
            ConfigurationError: If a token is required and missing.

        Example:
            ```python
            with record("traffic.jsonl") as traffic:
                await traffic.async_client().run("dashscope/hello-world", {"text": "Alice"})
            ```
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
        """Return the token and the address of a client."""

    @abstractmethod
    def _transport(self) -> httpx.BaseTransport: ...

    @abstractmethod
    def _async_transport(self) -> httpx.AsyncBaseTransport: ...

    @abstractmethod
    def _finish(self) -> None:
        """End a block that raised no exception."""
