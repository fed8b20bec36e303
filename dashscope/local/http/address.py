"""The external address of the server: the one under which a client reaches it.

The URLs in a response start with it, also behind a reverse proxy. ``address_of`` returns it for a
request, and ``base_path`` returns its path for links on pages.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, Self, cast
from urllib.parse import urlsplit

from attrs import frozen
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import Scope

_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~@+-]{1,255}){0,16}")
_UNSPECIFIED: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
_OWN_PATHS: Final = ("/v1", "/web")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SCOPE_KEY: Final = "dashscope.address"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@frozen
class Address:
    """The external address of the server."""

    scheme: str
    host: str
    """The host, with the port unless it is the default port of the scheme."""

    prefix: str = ""
    """The path before the server's own paths: empty, or a path such as ``/models``."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the address for a URL without a query and a fragment.

        Raises:
            ValueError: The URL is not an address of a server.
        """
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS or parts.query or parts.fragment:
            raise ValueError(f"{url[:200]!r} must be an address such as https://example.com/models")
        path = parts.path.rstrip("/")
        if path.endswith("/v1"):
            raise ValueError(f"{url[:200]!r} must not end in /v1, which clients add themselves")
        return cls(
            parts.scheme,
            check_host(parts.netloc, "The host of a URL"),
            check_prefix(path, "The path of a URL"),
        )

    @property
    def origin(self) -> str:
        """Scheme and host."""
        return f"{self.scheme}://{self.host}"

    @property
    def url(self) -> str:
        """Scheme, host and prefix, without a slash at the end."""
        return f"{self.origin}{self.prefix}"

    def is_origin(self, origin: str) -> bool:
        """Return whether an ``Origin`` header names this server."""
        return _endpoint(origin) == _endpoint(self.origin)


@frozen(kw_only=True)
class Reachability:
    """How requests reach the server, beyond the address on which it listens."""

    own: Address
    public: Address | None
    proxies: tuple[Network, ...]

    def address(self, scope: Scope, headers: Headers) -> Address:
        """Return the external address for a request.

        The public URL comes first. The ``X-Forwarded-*`` headers count only if a trusted proxy has
        sent the request.

        Raises:
            ValueError: One of the headers is invalid.
        """
        host = headers.get("host")
        direct = (
            Address("http", check_host(host, "The Host header")) if host is not None else self.own
        )
        if self.public is not None:
            return self.public
        if not self.is_proxied(scope):
            return direct
        scheme = _last(headers, "x-forwarded-proto").lower() or direct.scheme
        if scheme not in _DEFAULT_PORTS:
            raise ValueError(f"X-Forwarded-Proto must be http or https, not {scheme[:100]!r}")
        host = _last(headers, "x-forwarded-host") or direct.host
        prefix = _last(headers, "x-forwarded-prefix").rstrip("/")
        return Address(
            scheme,
            check_host(host, "X-Forwarded-Host"),
            check_prefix(prefix, "X-Forwarded-Prefix"),
        )

    def is_expected_host(self, scope: Scope, headers: Headers) -> bool:
        """Return whether a request without a token may have been sent to this host.

        A web site can make a browser send requests to this machine under a host of the site.
        """
        host = _name(headers.get("host") or self.own.host)
        if is_loopback(host) or (self.public is not None and host == _name(self.public.host)):
            return True
        return self.is_proxied(scope) and bool(_last(headers, "x-forwarded-host"))

    def is_proxied(self, scope: Scope) -> bool:
        """Return whether a trusted proxy has sent a request."""
        if not self.proxies or not scope.get("client"):
            return False
        peer = ipaddress.ip_address(scope["client"][0].partition("%")[0])
        if isinstance(peer, ipaddress.IPv6Address) and peer.ipv4_mapped:
            peer = peer.ipv4_mapped
        return any(peer in network for network in self.proxies)


def remember_address(scope: Scope, address: Address) -> Scope:
    """Return the scope of a request with its address, and with a path without the prefix."""
    path: str = scope["path"]
    below = f"{address.prefix}/"
    if address.prefix and address.prefix not in _OWN_PATHS and path.startswith(below):
        # Most proxies remove the prefix. This one did not.
        raw: bytes = scope["raw_path"]
        scope = {
            **scope,
            "path": path.removeprefix(address.prefix),
            "raw_path": raw.removeprefix(address.prefix.encode()),
        }
    return {**scope, _SCOPE_KEY: address}


def address_of(request: HTTPConnection) -> Address:
    """Return the external address for a request."""
    return cast("Address", request.scope[_SCOPE_KEY])


def base_path(request: HTTPConnection) -> str:
    """Return the path before the server's own paths: empty, or a path such as ``/models``.

    The link to a page is ``f"{base_path(request)}/web/predictions"``.
    """
    return address_of(request).prefix


def check_host(host: str, what: str) -> str:
    """Return a host with an optional port, as clients can reach it. ``what`` contains the host.

    Raises:
        ValueError: The host is not ``name`` or ``name:port``.
    """
    match = _HOST.fullmatch(host)
    if not match or int(match[2] or 0) > 65535:
        raise ValueError(f"{what[:200]} must be name or name:port, not {host[:100]!r}")
    return reachable(match[1]) + host[match.end(1) :]


def check_prefix(prefix: str, what: str) -> str:
    """Return a path prefix. ``what`` contains the prefix.

    Raises:
        ValueError: The prefix is not a plain path.
    """
    if not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/")):
        raise ValueError(f"{what[:200]} must be a plain path such as /a/b, not {prefix[:100]!r}")
    return prefix


def parse_networks(texts: str | Iterable[str]) -> tuple[Network, ...]:
    """Return the networks for addresses and networks such as ``10.0.0.1`` and ``10.0.0.0/8``.

    Raises:
        ValueError: A text is neither an address nor a network.
    """
    return tuple(map(ipaddress.ip_network, [texts] if isinstance(texts, str) else texts))


def reachable(host: str) -> str:
    """Return a host that clients can connect to: a loopback address for "all addresses"."""
    return _UNSPECIFIED.get(host, host)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is loopback."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_of(url: str) -> str:
    """Return the host name of a URL, or an empty string if the URL is invalid."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _name(host: str) -> str:
    """Return the name of a host without its port."""
    return host_of(f"//{host}")


def _last(headers: Headers, name: str) -> str:
    """Return the value that the nearest proxy has added to a header, or an empty string."""
    values = headers.getlist(name)
    return values[-1].rpartition(",")[2].strip() if values else ""


def _endpoint(origin: str) -> tuple[str, str, int | None] | None:
    """Return the parts of an origin in a form that can be compared, or None."""
    try:
        parts = urlsplit(origin)
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts.scheme, reachable(host), port
