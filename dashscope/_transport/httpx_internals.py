"""The private attributes of httpx and httpcore that we use, and the check that they exist.

No other module may use one. `check()` runs when this module is imported, so that a release of
httpx or httpcore that changes an attribute is reported by name rather than by an
`AttributeError` in the middle of a request.
"""

# pyright: reportPrivateUsage=false

from __future__ import annotations

from types import CodeType
from typing import Any, Final

import httpcore
import httpx

from dashscope._errors import ConfigurationError

_USED: Final[tuple[tuple[Any, str, str], ...]] = (
    # The class, its method, and the attribute that the method must use.
    (httpx.AsyncHTTPTransport, "handle_async_request", "_pool"),
    (httpx.HTTPTransport, "handle_request", "_pool"),
    (httpx.AsyncClient, "_send_single_request", "extract_cookies"),
    (httpx.Client, "_send_single_request", "extract_cookies"),
    (httpx.AsyncClient, "_send_single_request", "_transport_for_url"),
    (httpx.Client, "_send_single_request", "_transport_for_url"),
    (httpx.Client, "_transport_for_url", "_transport"),
    (httpcore.AsyncHTTPConnection, "is_idle", "_connection"),
    (httpcore.HTTPConnection, "is_idle", "_connection"),
    (httpcore.AsyncHTTP11Connection, "__init__", "_h11_state"),
    (httpcore.HTTP11Connection, "__init__", "_h11_state"),
)


def check() -> None:
    """Check that the private attributes used here exist in the installed versions.

    Raises:
        ConfigurationError: If an attribute is missing.
    """
    for cls, method, attribute in _USED:
        function = getattr(cls, method, None)
        # A test may have replaced the method by a mock, which has no code to check.
        code = getattr(function, "__code__", None)
        if function is None or (isinstance(code, CodeType) and attribute not in code.co_names):
            raise ConfigurationError(
                f"dashscope does not support httpx {httpx.__version__} with httpcore "
                f"{httpcore.__version__}: {cls.__name__}.{method} does not use {attribute}. "
                "Upgrade dashscope-client, or install an older httpx."
            )


def set_pool(transport: httpx.AsyncHTTPTransport | httpx.HTTPTransport, pool: Any) -> None:
    """Make a transport of httpx use `pool` as its connection pool."""
    transport._pool = pool


class _NoCookies(httpx.Cookies):
    """A cookie jar that stores nothing."""

    def extract_cookies(self, response: httpx.Response) -> None:
        pass


def disable_cookies(client: httpx.AsyncClient | httpx.Client) -> None:
    """Make a client ignore the cookies of responses, which costs 30 µs a response otherwise."""
    client._cookies = _NoCookies()


def honors_timeouts(client: Any, library: Any) -> bool:
    """Return whether a caller's client sends over real connections, with read timeouts."""
    return isinstance(client._transport, library.HTTPTransport | library.AsyncHTTPTransport)


def has_unread_data(connection: Any) -> bool:
    """Return whether more bytes arrived than the response has.

    They would be taken for the start of the next response.
    """
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    parser: Any = getattr(connection, "_h11_state", None)
    return parser is not None and bool(parser.trailing_data[0])


check()
