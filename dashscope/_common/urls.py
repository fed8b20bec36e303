"""Whose URL is this, may it be followed, does it get the token? Pure: text in, verdict out.

URLs in the server's answers are data. They are asked only when `url_rejection()` has nothing
against them, and carry the token only when `gets_token()` says so.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterable
from typing import Final
from urllib.parse import SplitResult, parse_qsl, quote, urljoin, urlsplit

from attrs import frozen

from dashscope._common.validation import check_str
from dashscope._common.validation import shown as quoted

_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
_HOST_PATTERN: Final = re.compile(r"(\*\.)?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_EMBEDDING: Final = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("::/96"))
_PAGE_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|/[^?]*\?|\?")
_REFERENCE: Final = re.compile(r"([^\s/:]+)/([^\s/:]+)(?::([^\s/:]+))?")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


LONGEST_PAGE_URL: Final = 16_384
"""Characters; no server takes more of a URL."""


class InvalidURLError(ValueError):
    """What is no URL for the HTTP library, although it looks like one."""


def base_url_problem(text: object) -> str | None:
    """What is wrong with a base URL, as the end of a sentence, or `None`."""
    if not isinstance(text, str):
        return f"is a str, not {type(text).__name__}"
    if not text:
        return "is empty"
    if _CONTROL.search(text):
        return "has a space or a control character in it"
    parts = _split(text)
    if parts is None:
        return "is not a URL"
    if parts.username is not None or parts.password is not None:
        return "has a user name or password in it: the token goes into api_token"
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        return f"{quoted(text)} does not start with http:// or https:// and a host"
    if parts.port == 0:
        return f"{quoted(text)} has the port 0, at which nobody listens"
    if "?" in text or "#" in text:
        return f"{quoted(text)} has a query or a fragment"
    return None


def is_host_pattern(host: object) -> bool:
    """Is this `host` or `*.host`?"""
    return isinstance(host, str) and _HOST_PATTERN.fullmatch(host) is not None


def is_loopback(url: str) -> bool:
    """Does the URL name this machine?"""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def segment(name: str, value: object) -> str:
    """One segment of a path, such that the server receives exactly `value`."""
    text = check_str(name, value)
    if text in ("", ".", ".."):
        raise ValueError(f"{name} is {text!r}, which cannot be part of a URL")
    return quote(text, safe="")


def path(template: str, **segments: object) -> str:
    """`template` with each `{name}` replaced by that segment, escaped."""
    return template.format(**{name: segment(name, value) for name, value in segments.items()})


def absolute(base_url: str, path: str) -> str:
    """`path` below the base URL; a whole URL stays as it is."""
    if path.startswith(("http://", "https://")):
        return path
    if not path.startswith("/"):
        raise ValueError(
            f"the path is {quoted(path)}: it starts with a slash, for example '/predictions'"
        )
    if _CONTROL.search(path):
        raise ValueError(f"the path {quoted(path)} has a space or a control character in it")
    if {".", ".."} & set(path.partition("?")[0].lower().replace("%2e", ".").split("/")):
        raise ValueError(f"the path {quoted(path)} has '.' or '..' in it")
    return base_url + path


def path_of(url: str) -> str:
    """The path of a URL; of what is none, nothing."""
    parts = _split(url)
    return "" if parts is None else parts.path


def joined(url: str, location: str) -> str:
    """Where a redirect leads.

    Raises:
        InvalidURLError: when it is no URL.
    """
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise InvalidURLError(str(error)) from None


def page_query(text: str) -> list[tuple[str, str]]:
    """What to ask for a page by its cursor, or by the `next` or `previous` of another page.

    Of such a URL the query counts; its host and path are not ours to follow.

    Raises:
        InvalidURLError: when it is a URL without a query, empty, or has what is no text in it.
    """
    if not 0 < len(text) <= LONGEST_PAGE_URL or not text.isprintable():
        raise InvalidURLError(
            f"cursor is {quoted(text)}, which is neither a page's cursor nor its URL"
        )
    if not _PAGE_URL.match(text):
        return [("cursor", text)]
    parts = _split(text)
    found = None if parts is None else parse_qsl(parts.query, keep_blank_values=True)
    if not found:
        raise InvalidURLError(f"cursor is {quoted(text)}, which is no page's URL: it has no query")
    return found


def is_data(url: str) -> bool:
    """Is it a data URI, its content in itself?"""
    return url[:5].lower() == "data:"


def same_origin(a: str, b: str) -> bool:
    """Do both URLs have the same scheme, host and port?"""
    origin = _origin(a)
    return origin is not None and origin == _origin(b)


def gets_token(url: str, base_url: str, trusted_hosts: Iterable[str]) -> bool:
    """Does a request to `url` carry the token?"""
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
    """Why a URL that the server gave is not asked, or `None` when it may be.

    Args:
        url: the URL.
        base_url: the API's address; behind one that is not loopback, this machine and
            private networks are out of bounds.
        came_from: the URL that redirected here, by default the API.
    """
    if _CONTROL.search(url):
        return "it has a space or a control character in it"
    parts = _split(url)
    if parts is None:
        return "it is not a URL"
    if parts.scheme not in _DEFAULT_PORTS:
        return f"its scheme is {parts.scheme or 'missing'!r}, not http or https"
    if not parts.hostname:
        return "it names no host"
    if parts.username is not None or parts.password is not None:
        return "it has a user name or password in it"
    if parts.scheme == "http" and urlsplit(came_from or base_url).scheme == "https":
        return "it leaves https for http"
    if not is_loopback(base_url) and _is_internal(parts.hostname):
        return f"{parts.hostname} is an address inside a private network or on this machine"
    return None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # out of range: raises here
    except ValueError:
        return None
    return parts


def _origin(url: str) -> tuple[str, str | None, int | None] | None:
    parts = _split(url)
    if parts is None:
        return None
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


def shown(url: str) -> str:
    """A URL as messages and logs show it: without its query and credentials, which are secret."""
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
    """The IPv4 address that an IPv6 one leads to, or the address itself."""
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour or address
    if any(address in network and int(address) > 1 for network in _EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _legacy_ipv4(host: str) -> ipaddress.IPv4Address | None:
    """The address that `0x7f.1`, `127.1` or `2130706433` stand for to a resolver."""
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
    # As IDNA has it: full-width characters, and other characters that count as dots.
    host = unicodedata.normalize("NFKC", host).replace("\u3002", ".").lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    if address is None:
        return False
    return not address.is_global or getattr(address, "is_site_local", False)


@frozen
class Reference:
    """What names a model: `owner/name`, or `owner/name:version`."""

    owner: str
    name: str
    version: str | None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Read a reference.

        Raises:
            ValueError: when it is neither of the two forms.
        """
        match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            kind = ValueError if isinstance(text, str) else TypeError
            raise kind(
                f"{quoted(text)} does not name a model: write owner/name or owner/name:version"
            )
        check_str("the name of a model", text)
        return cls(*match.groups())

    def __str__(self) -> str:
        version = "" if self.version is None else f":{self.version}"
        return f"{self.owner}/{self.name}{version}"

    @property
    def path(self) -> str:
        """The endpoint that runs it."""
        if self.version is not None:
            return "/predictions"
        return path("/models/{owner}/{name}/predictions", owner=self.owner, name=self.name)
