"""`Request` and `Response`: what goes over the wire, as values."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

from attrs import field, frozen

from dashscope._common.json import decode
from dashscope._common.secrets import scrubbed

SILENCE_TIMEOUT: Final = 60.0
"""Seconds without a byte after which a connection counts as lost."""


class Headers(Mapping[str, str]):
    """HTTP headers: a mapping whose keys ignore case; repeated ones are joined with `, `."""

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
        return scrubbed(f"Headers({self._items!r})")


def merged(*several: Mapping[str, str]) -> dict[str, str]:
    """Headers together; of two with the same name, in whatever case, the later one counts."""
    found: dict[str, tuple[str, str]] = {}
    for headers in several:
        for name, value in headers.items():
            found[name.lower()] = name, value
    return dict(found.values())


_SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})


def masked(headers: Mapping[str, str]) -> str:
    """Headers as a repr shows them: secrets are left out."""
    return repr({n: "***" if n.lower() in _SECRET else value for n, value in headers.items()})


class FileSource(Protocol):
    """A file that can be read from its start as often as it is sent."""

    @property
    def filename(self) -> str:
        """Its name."""
        ...

    @property
    def content_type(self) -> str:
        """Its media type."""
        ...

    @property
    def size(self) -> int:
        """Its length in bytes."""
        ...

    def pieces(self) -> Iterator[bytes]:
        """Read its content from the start, piece by piece; blocks while it reads."""
        ...


@frozen(kw_only=True)
class FilePart:
    """A file in a multipart body.

    Attributes:
        name: the part's name.
        file: the file.
        progress: called with the bytes sent so far; it starts anew with each attempt.
    """

    name: str
    file: FileSource
    progress: Callable[[int], object] | None = None

    def tell(self, sent: int) -> None:
        """Tell who wants to know how many bytes were sent."""
        if self.progress is not None:
            self.progress(sent)


@frozen(kw_only=True)
class Request:
    """A request as it is about to be sent, without its token.

    Attributes:
        method: the HTTP method.
        url: the whole URL.
        headers: the headers that the client adds to the HTTP library's own.
        content: the body, or `None`.
        files: the parts of a multipart body, instead of `content`.
        fields: the text fields beside `files`.
        read_timeout: seconds without a byte after which the connection counts as lost.
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
        """Deprecated name of `read_timeout`."""
        warnings.warn("use Request.read_timeout", DeprecationWarning, stacklevel=2)
        return self.read_timeout


@frozen(kw_only=True)
class Response:
    """An answer, read to its end.

    Attributes:
        status: the HTTP status, such as 200.
        headers: the headers; the keys ignore case.
        content: the body.
        attempts: how often the request was made.
        elapsed: seconds from the first attempt to the answer.
        asked: the method and the URL without its query, as messages name the request.
    """

    status: int
    headers: Headers
    content: bytes = field(repr=False)
    attempts: int = field(default=1, eq=False)
    elapsed: float = field(default=0.0, eq=False)
    asked: str = field(default="", eq=False, repr=False)

    @property
    def text(self) -> str:
        """The body as text (UTF-8; what is not, is replaced)."""
        return self.content.decode("utf-8", "replace")

    @property
    def request_id(self) -> str | None:
        """The server's name for this request, for a report to its operators."""
        return self.headers.get("x-request-id")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: when it is not JSON.
        """
        return decode(self.content)
