"""Which proxy a request uses, by the environment: `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import Final, Self
from urllib.request import getproxies, proxy_bypass

from attrs import frozen

_PASSWORD: Final = re.compile(r"^((?:[^/@]*//)?)[^/]*@")


@frozen
class Proxy:
    """The address of a proxy.

    Attributes:
        url: The address. It may contain a password.
        source: Where the address comes from, as messages name it.
        is_argument: Whether the caller passed it, rather than setting a variable.
    """

    url: str
    source: str
    is_argument: bool = False

    @classmethod
    def from_argument(cls, url: str) -> Self:
        """Return the proxy that was passed as `proxy=`."""
        return cls(url, "proxy", is_argument=True)


def without_password(url: str) -> str:
    """Return the address of a proxy without the user name and password in it."""
    return _PASSWORD.sub(r"\1***@", url)


class EnvironmentProxies:
    """The proxies that the environment (or the system) configures, as of its creation."""

    def __init__(self) -> None:
        self._proxies = {name: url for name, url in getproxies().items() if name != "no"}
        self._excluded = _networks(getproxies().get("no", ""))

    @property
    def is_empty(self) -> bool:
        """True if no proxy is configured."""
        return not self._proxies

    def proxy_for(self, scheme: str, host: str, port: int | None) -> Proxy | None:
        """Return the proxy for a URL, or `None` to connect directly.

        Loopback addresses never use a proxy: a proxy elsewhere cannot reach this machine.
        """
        name = scheme if self._proxies.get(scheme) else "all"
        url = self._proxies.get(name)
        if not url or self._is_direct(host, port):
            return None
        return Proxy(url if "://" in url else f"http://{url}", _source(name))

    def _is_direct(self, host: str, port: int | None) -> bool:
        address = _address(host)
        if address is None:
            if host == "localhost" or host.endswith(".localhost"):
                return True
        elif address.is_loopback or any(address in network for network in self._excluded):
            return True
        return bool(proxy_bypass(host if port is None else f"{host}:{port}"))


def _source(name: str) -> str:
    for variable in (f"{name}_proxy", f"{name.upper()}_PROXY"):
        if os.environ.get(variable):
            return f"the environment variable {variable}"
    return "the proxy of the system's settings"


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _networks(no_proxy: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the addresses and networks (such as `10.0.0.0/8`) in a `NO_PROXY`."""
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for entry in no_proxy.split(","):
        try:
            networks.append(ipaddress.ip_network(entry.strip().strip("[]"), strict=False))
        except ValueError:
            continue  # a name, which `proxy_bypass` compares
    return networks
