"""What an `http_client` must have: the part of `httpx.AsyncClient` and `httpx.Client` we use.

`httpx2` has the same classes.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class AsyncHTTPClient(Protocol):
    """An `httpx.AsyncClient` or `httpx2.AsyncClient`, or a subclass of one."""

    def build_request(
        self, method: str, url: str, *, headers: Any, content: Any, timeout: Any
    ) -> Any:
        """Build a request with the client's own headers, cookies and query."""
        ...

    def send(
        self, request: Any, *, stream: bool, auth: Any, follow_redirects: bool
    ) -> Coroutine[Any, Any, Any]:
        """Send a request and read the head of its response."""
        ...

    def aclose(self) -> Coroutine[Any, Any, None]:
        """Close its connections."""
        ...


@runtime_checkable
class HTTPClient(Protocol):
    """An `httpx.Client` or `httpx2.Client`, or a subclass of one, such as a `TestClient`."""

    def build_request(
        self, method: str, url: str, *, headers: Any, content: Any, timeout: Any
    ) -> Any:
        """Build a request with the client's own headers, cookies and query."""
        ...

    def send(self, request: Any, *, stream: bool, auth: Any, follow_redirects: bool) -> Any:
        """Send a request and read the head of its response."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...
