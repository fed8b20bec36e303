"""`Request` and `Response`: HTTP messages as values."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar, cast, runtime_checkable

from attrs import field, frozen

from dashscope._common.json import decode
from dashscope._common.secrets import Token, scrub

T = TypeVar("T")

SILENCE_TIMEOUT: Final = 60.0
"""Seconds without a byte after which a connection counts as lost."""


class Headers(Mapping[str, str]):
    """HTTP headers: a mapping whose names ignore case. Repeated headers are joined with `, `."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, str]) -> None:
        self._items = {name.lower(): value for name, value in items.items()}

    def __getitem__(self, name: str) -> str:
        return self._items[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"Headers({self._items!r})"


def merged(*several: Mapping[str, str]) -> dict[str, str]:
    """Merge headers. Of headers with the same name, in any case, the last one counts."""
    found: dict[str, tuple[str, str]] = {}
    for headers in several:
        for name, value in headers.items():
            found[name.lower()] = name, value
    return dict(found.values())


_SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})


def masked(headers: Mapping[str, str]) -> str:
    """Return headers for a repr, with secret values replaced."""
    return repr({n: "***" if n.lower() in _SECRET else value for n, value in headers.items()})


@runtime_checkable
class FileSource(Protocol):
    """A file that can be read from its start each time that it is sent."""

    @property
    def filename(self) -> str:
        """The name of the file."""
        ...

    @property
    def content_type(self) -> str:
        """The media type."""
        ...

    @property
    def size(self) -> int:
        """The length in bytes."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """Iterate over the content from its start. Blocks while reading."""
        ...


@frozen(kw_only=True)
class FilePart:
    """A file in a multipart body.

    Attributes:
        name: The name of the part.
        file: The file.
        progress: Called with the number of bytes sent so far, which restarts with each attempt.
    """

    name: str
    file: FileSource
    progress: Callable[[int], object] | None = None

    def tell(self, sent: int) -> None:
        """Report how many bytes were sent."""
        if self.progress is not None:
            self.progress(sent)


@frozen(kw_only=True)
class Request:
    """A request that is about to be sent, without its token.

    Attributes:
        method: The HTTP method.
        url: The URL.
        headers: The headers, in addition to those of the HTTP library.
        content: The body, or `None`.
        files: The parts of a multipart body, in place of `content`.
        fields: The text fields of a multipart body.
        read_timeout: Seconds without a byte after which the connection counts as lost.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=masked)
    content: bytes | None = field(default=None, repr=False)
    files: tuple[FilePart, ...] = ()
    fields: Mapping[str, str] = field(factory=dict[str, str])
    read_timeout: float = SILENCE_TIMEOUT

    @property
    def patience(self) -> float:
        """Deprecated alias of `read_timeout`."""
        warnings.warn("use Request.read_timeout instead", DeprecationWarning, stacklevel=2)
        return self.read_timeout


class _Redactable:
    """Remembers the token of the request, to keep it out of messages.

    The token is no field of the response: it is not shown, compared, pickled or copied.
    """

    __slots__ = ("_token",)
    _token: Token | None


@frozen(kw_only=True)
class Response(_Redactable):
    """A response whose body was read.

    Attributes:
        status: The HTTP status, such as 200.
        headers: The headers. Names ignore case.
        content: The body.
        attempts: How often the request was sent.
        elapsed: Seconds from the first attempt to the response.
        asked: The method and the URL of the request, without its query.
    """

    status: int
    headers: Headers
    content: bytes = field(repr=False)
    attempts: int = field(default=1, eq=False)
    elapsed: float = field(default=0.0, eq=False)
    asked: str = field(default="", eq=False, repr=False)

    @property
    def text(self) -> str:
        """The body as text, decoded as UTF-8. Invalid bytes are replaced."""
        return self.content.decode("utf-8", "replace")

    @property
    def request_id(self) -> str | None:
        """The server's id of the request, to quote in a support request."""
        return self.headers.get("x-request-id")

    @property
    def rate_limit(self) -> dict[str, str]:
        """The server's rate limit, such as `{"limit": "600", "remaining": "599", "reset": "1"}`.

        Empty if the server sends no headers about it.
        """
        return {
            name.rpartition("ratelimit-")[2]: value
            for name, value in self.headers.items()
            if "ratelimit-" in name
        }

    def json(self) -> Any:
        """Return the body as JSON.

        Returns:
            The value.

        Raises:
            ValueError: If the body is not JSON.

        Example:
            ```python
            response = await client.request("GET", "/account")
            print(response.json()["username"])
            ```
        """
        return decode(self.content)


@frozen(kw_only=True)
class RawResponse(Response, Generic[T]):
    """A response of an operation, from `client.with_raw_response`. `parse()` returns its value.

    Attributes:
        status: The HTTP status, such as 200.
        headers: The headers. Names ignore case.
        content: The body.
        attempts: How often the request was sent.
        elapsed: Seconds from the first attempt to the response.
        asked: The method and the URL of the request, without its query.
    """

    _value: T | None = field(default=None, eq=False, repr=False, alias="value")
    _error: Exception | None = field(default=None, eq=False, repr=False, alias="error")

    def parse(self) -> T:
        """Return the value of the operation.

        Returns:
            What the operation returns without `with_raw_response`.

        Raises:
            APIResponseError: If the response does not match the API.

        Example:
            ```python
            response = await client.with_raw_response.predictions.get(prediction.id)
            prediction = response.parse()
            ```
        """
        if self._error is not None:
            raise self._error
        return cast("T", self._value)


def remember_token(response: Response, token: Token | None) -> Response:
    """Note the token that a response may repeat, and return the response."""
    object.__setattr__(response, "_token", token)
    return response


def redacted(response: Response, text: str) -> str:
    """Return a text of a response without the token of its request."""
    return scrub(text, getattr(response, "_token", None))
