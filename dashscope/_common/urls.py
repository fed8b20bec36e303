"""Rules for URLs: which may be followed, and which get the token. Pure.

URLs from the server are data. They are requested only if `url_rejection()` returns `None`, and get
the token only if `gets_token()` returns true.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urljoin, urlsplit

from attrs import frozen

from dashscope._common.validation import check_str
from dashscope._common.validation import shown as quoted

_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_HOST_PATTERN: Final = re.compile(r"(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_EMBEDDING: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
_PAGE_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|/[^?]*\?|\?")
_REFERENCE: Final = re.compile(r"([^\s/:]+)/([^\s/:]+)(?::([^\s/:]+))?")
Origin: TypeAlias = tuple[str, str | None, int | None]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


LONGEST_PAGE_URL: Final = 16_384
"""The longest URL of a page, in characters. Servers accept no longer ones."""


class InvalidURLError(ValueError):
    """A text looks like a URL but is not valid."""


def base_url_problem(text: object) -> str | None:
    """Return what is wrong with a base URL, as the end of a sentence, or `None`."""
    if not isinstance(text, str):
        return f"must be a str, not {type(text).__name__}"
    if not text:
        return "is empty"
    if _CONTROL.search(text):
        return "contains a space or a control character"
    parts = _split(text)
    if parts is None:
        return "is not a URL"
    if parts.username is not None or parts.password is not None:
        return "contains a user name or password. Pass the token as api_token"
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return f"{quoted(text)} must start with http:// or https:// and a host"
    if parts.port == 0:
        return f"{quoted(text)} has the invalid port 0"
    if "?" in text or "#" in text:
        return f"{quoted(text)} must not have a query or fragment"
    return None


def is_host_pattern(host: object) -> bool:
    """Return whether a value is `host` or `*.host`."""
    return isinstance(host, str) and _HOST_PATTERN.fullmatch(host) is not None


def is_loopback(url: str) -> bool:
    """Return whether a URL names this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def segment(name: str, value: object) -> str:
    """Return `value` escaped as one segment of a path, so that the server receives it unchanged."""
    text = check_str(name, value)
    if text in ("", ".", ".."):
        raise ValueError(f"{name} cannot be {text!r}: that is not valid in a URL")
    return quote(text, safe="")


def path(template: str, **segments: object) -> str:
    """Return `template` with each `{name}` replaced by the escaped segment."""
    return template.format(**{name: segment(name, value) for name, value in segments.items()})


def names_of(expected: str, owner: str, *others: str | None) -> list[str]:
    """Return an owner, a name and further names, of which the first two may be one text.

    Args:
        expected: The names of the parameters, separated by spaces.
        owner: The owner, or `owner/name`.
        others: The other arguments. `None` for those that were not passed.

    Raises:
        TypeError: If there are too many or too few names.
        ValueError: If `owner` contains a slash but is not `owner/name`.
    """
    parameters = expected.split()
    found = [owner, *others]
    if isinstance(owner, str) and "/" in owner:
        parsed = _REFERENCE.fullmatch(owner)
        if parsed is None:
            raise ValueError(f"a model or deployment must be owner/name, not {quoted(owner)}")
        parts = [part for part in parsed.groups() if part is not None]
        found = [*parts, *(name for name in others if name is not None)]
    while found and found[-1] is None:
        found.pop()
    given = [name for name in found if name is not None]
    if len(given) > len(parameters):
        raise TypeError(
            f"{quoted(owner)} and {quoted(given[-1])} are too many names: pass "
            f"{', '.join(parameters)}"
        )
    if len(given) < len(parameters):
        raise TypeError(
            f"{parameters[len(given)]} is missing: pass {', '.join(parameters)}. One text "
            "'owner/name' may stand for the first two"
        )
    return given


def absolute(base_url: str, path: str) -> str:
    """Return `path` below the base URL. A whole URL is returned unchanged."""
    if path.startswith(("http://", "https://")):
        return path
    if not path.startswith("/"):
        raise ValueError(
            f"path must start with a slash, such as '/predictions', not {quoted(path)}"
        )
    if _CONTROL.search(path):
        raise ValueError(f"path contains a space or a control character: {quoted(path)}")
    if {".", ".."} & set(path.partition("?")[0].lower().replace("%2e", ".").split("/")):
        raise ValueError(f"path contains '.' or '..': {quoted(path)}")
    return base_url + path


def with_query(url: str, params: Sequence[tuple[str, str]]) -> str:
    """Return a URL with further query parameters, and without its fragment, which is never sent."""
    url = url.partition("#")[0]
    if not params:
        return url
    separator = "" if url.endswith(("?", "&")) else "&" if "?" in url else "?"
    return url + separator + urlencode(params)


def path_of(url: str) -> str:
    """Return the path of a URL, or an empty text if the URL is invalid."""
    parts = _split(url)
    return "" if parts is None else parts.path


def joined(url: str, location: str) -> str:
    """Return the target of a redirect.

    Raises:
        InvalidURLError: If the target is not a valid URL.
    """
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise InvalidURLError(str(error)) from None


def page_query(text: str) -> list[tuple[str, str]]:
    """Return the query for a cursor, or for the `next` or `previous` URL of another page.

    Only the query of such a URL is used. Its host and path are ignored.

    Raises:
        InvalidURLError: If the text is empty, too long, not printable, or a URL without a query.
    """
    if not 0 < len(text) <= LONGEST_PAGE_URL or not text.isprintable():
        raise InvalidURLError(f"cursor must be a cursor or the URL of a page, not {quoted(text)}")
    if not _PAGE_URL.match(text):
        return [("cursor", text)]
    parts = _split(text)
    found = None if parts is None else parse_qsl(parts.query, keep_blank_values=True)
    if not found:
        raise InvalidURLError(f"cursor must be the URL of a page, with a query, not {quoted(text)}")
    return found


def is_data(url: str) -> bool:
    """Return whether a URL is a data URI."""
    return url[:5].lower() == "data:"


def same_origin(a: str, b: str) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    found = origin(a)
    return found is not None and found == origin(b)


def gets_token(url: str, base_url: str, trusted_hosts: Iterable[str]) -> bool:
    """Return whether a request to `url` gets the token."""
    if same_origin(url, base_url):
        return True
    parts = _split(url)
    if parts is None or parts.scheme != "https" or not parts.hostname:
        return False
    host = parts.hostname
    return any(
        host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
        for pattern in trusted_hosts
    )


def url_rejection(url: str, base_url: str, *, came_from: str | None = None) -> str | None:
    """Return why a URL from the server must not be requested, or `None` if it may be.

    Args:
        url: The URL.
        base_url: The address of the API. Unless it is a loopback address, private networks and this
            machine are not allowed.
        came_from: The URL that redirected to this one. Defaults to the API.
    """
    if _CONTROL.search(url):
        return "it contains a space or a control character"
    parts = _split(url)
    if parts is None:
        return "it is not a URL"
    if parts.scheme not in _DEFAULT_PORTS:
        return f"its scheme is {parts.scheme or 'missing'!r}, not http or https"
    if not parts.hostname:
        return "it has no host"
    if parts.username is not None or parts.password is not None:
        return "it contains a user name or password"
    if parts.scheme == "http" and urlsplit(came_from or base_url).scheme == "https":
        return "it goes from https to http"
    if not is_loopback(base_url) and _is_internal(parts.hostname):
        return f"{parts.hostname} is an address in a private network or on this machine"
    return None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # out of range: raises here
    except ValueError:
        return None
    return parts


def origin(url: str) -> Origin | None:
    """Return the scheme, the host and the port of a URL, or `None` if it is invalid."""
    parts = _split(url)
    if parts is None:
        return None
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def shown(url: str) -> str:
    """Return a URL for messages and logs, without its query and credentials: they may be secret."""
    scheme, separator, rest = url.partition("?")[0][:300].partition("://")
    if not separator:
        return scheme
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return _legacy_ipv4(host)
    return _embedded(address) if isinstance(address, ipaddress.IPv6Address) else address


def _embedded(
    address: ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the IPv4 address that an IPv6 address leads to, or the address itself."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour or address
    if any(address in network and int(address) > 1 for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _legacy_ipv4(host: str) -> ipaddress.IPv4Address | None:
    """Return the address that resolvers see in `0x7f.1`, `127.1` or `2130706433`."""
    numbers: list[int] = []
    for part in host.removesuffix(".").split("."):
        if not re.fullmatch(r"0[xX][0-9a-fA-F]*|[0-9]+", part):
            return None
        base = 16 if part[:2].lower() == "0x" else 8 if part.startswith("0") else 10
        try:
            numbers.append(int(part[2:] or "0", 16) if base == 16 else int(part, base))
        except ValueError:
            return None
    if len(numbers) > 4:
        return None
    *front, last = numbers
    if any(number > 255 for number in front) or last >= 256 ** (4 - len(front)):
        return None
    value = last + sum(number << (24 - 8 * index) for index, number in enumerate(front))
    return ipaddress.IPv4Address(value)


def _is_internal(host: str) -> bool:
    # IDNA maps full-width characters to ASCII, and treats other characters as dots.
    host = unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    if address is None:
        return False
    return not address.is_global or getattr(address, "is_site_local", False)


@frozen
class Reference:
    """The reference of a model: `owner/name` or `owner/name:version`."""

    owner: str
    name: str
    version: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a reference.

        Raises:
            ValueError: If the text has neither form.
            TypeError: If it is not a text.
        """
        match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            kind = ValueError if isinstance(text, str) else TypeError
            raise kind(f"a model must be owner/name or owner/name:version, not {quoted(text)}")
        check_str("ref", text)
        return cls(*match.groups())

    def __str__(self) -> str:
        version = "" if self.version is None else f":{self.version}"
        return f"{self.owner}/{self.name}{version}"

    @property
    def path(self) -> str:
        """The path of the endpoint that runs the model."""
        if self.version is not None:
            return "/predictions"
        return path("/models/{owner}/{name}/predictions", owner=self.owner, name=self.name)
