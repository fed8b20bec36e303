"""How a client reaches a server: directly or through a proxy, with or without TLS.

A route opens connections, and the pool keeps them. Each route is one of httpcore's own pools,
which know how to open connections of their kind. In async clients it also shares HTTP/2
connections, which serve many requests at once.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, Generic, TypeVar

import httpcore
import httpx

from dashscope._common.installing import install_command
from dashscope._errors import ConfigurationError
from dashscope._transport.pool.idle import KEEPALIVE_EXPIRY
from dashscope._transport.pool.options import PoolOptions
from dashscope._transport.pool.proxies import EnvironmentProxies, Proxy, without_password
from dashscope._transport.pool.shared_context import SharedContext

R = TypeVar("R", bound=httpcore.AsyncConnectionPool | httpcore.ConnectionPool)

SOCKS: Final = (httpcore.AsyncSOCKSProxy, httpcore.SOCKSProxy)
_PROXY_SCHEMES: Final = ("http", "https", "socks5", "socks5h")


class TLS:
    """The SSL context of a client.

    All of its connections share one. It is created at the first https request, because creating
    one takes tens of milliseconds.

    Args:
        verify: Whether to verify certificates, or an `ssl.SSLContext`.
    """

    def __init__(self, verify: bool | ssl.SSLContext) -> None:
        self._verify = verify
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context, creating it at the first call.

        Raises:
            ConfigurationError: If a file named by an environment variable cannot be used.
        """
        with self._lock:
            if self._context is None:
                self._context = _create_context(self._verify)
            return self._context


def _create_context(verify: bool | ssl.SSLContext) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context(verify=verify)
    except OSError as error:  # ssl.SSLError is one
        reason = error
    raise ConfigurationError(
        f"The TLS settings cannot be loaded: {reason}. {_tls_variable()}"
    ) from reason


def _tls_variable() -> str:
    """Name the environment variable that is the likely cause, with its value."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        value = os.environ.get(name)
        if value and not _is_loadable(name, value):
            return (
                f"The environment variable {name} is {value!r}: set it to "
                f"{'a PEM file' if name == 'SSL_CERT_FILE' else 'a directory'} of certificate "
                "authorities that this process can read, or unset it."
            )
    if value := os.environ.get("SSLKEYLOGFILE"):
        return (
            f"The environment variable SSLKEYLOGFILE is {value!r}: set it to a file that this "
            "process can write, or unset it."
        )
    return "Check the certificates of this Python installation, or pass verify=ssl_context."


def _is_loadable(name: str, value: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if name == "SSL_CERT_FILE":
            context.load_verify_locations(cafile=value)
        else:
            context.load_verify_locations(capath=value)
    except OSError:
        return False
    return True


def parse_proxy(proxy: Proxy) -> httpx.Proxy:
    """Parse the address of a proxy.

    Raises:
        ConfigurationError: If it cannot be used. The error names where the address comes from,
            and shows it without a password.
    """
    try:
        parsed = httpx.Proxy(proxy.url)
        _ = parsed.url.raw_host, parsed.raw_auth
    except (ValueError, TypeError, httpx.InvalidURL) as error:
        scheme, found, _ = proxy.url.partition("://")
        if found and scheme.lower() not in _PROXY_SCHEMES:
            problem = f"the scheme {scheme!r} is not supported; use {', '.join(_PROXY_SCHEMES)}"
        else:
            problem = f"{type(error).__name__}"
    else:
        port = parsed.url.port
        if not parsed.url.host or (port is not None and not 0 < port < 65536):
            problem = "it has no host, or a port that does not exist"
        elif parsed.url.scheme.startswith("socks") and find_spec("socksio") is None:
            raise ConfigurationError(
                f"The proxy {without_password(proxy.url)} ({proxy.source}) needs: "
                + install_command("socks")
            )
        else:
            return parsed
    source = proxy.source[0].upper() + proxy.source[1:] if not proxy.is_argument else proxy.source
    raise ConfigurationError(
        f"{source} is {without_password(proxy.url)!r}, which is not the URL of a proxy "
        f"({problem}). Set it to a URL such as http://127.0.0.1:8080"
        + ("." if proxy.is_argument else ", or unset it.")
    )


class Routes(Generic[R]):
    """The routes of a pool, created when they are first needed.

    Args:
        options: The proxy, and the limits of the connections.
        tls: The SSL context.
        kinds: httpcore's pools for direct connections, HTTP proxies and SOCKS proxies.
        backend: The sockets.
    """

    def __init__(
        self,
        options: PoolOptions,
        tls: TLS,
        kinds: tuple[Callable[..., R], Callable[..., R], Callable[..., R]],
        backend: httpcore.AsyncNetworkBackend | httpcore.NetworkBackend,
    ) -> None:
        self._options = options
        self._tls = tls
        self._kinds = kinds
        self._backend = backend
        self._lock = threading.Lock()
        self._environment = EnvironmentProxies()
        self._proxy = None if options.proxy is None else Proxy.from_argument(options.proxy)
        self._routes: dict[tuple[Proxy | None, bytes], R] = {}
        self._proxies: dict[R, str] = {}

    def to(self, url: httpcore.URL) -> R:
        """Return the route to a URL.

        Raises:
            ConfigurationError: If a proxy or the TLS settings of the environment are unusable.
        """
        key = self._proxy_for(url), url.scheme
        route = self._routes.get(key)
        if route is None:
            with self._lock:
                route = self._routes.get(key)
                if route is None:
                    route = self._routes[key] = self._new(*key)
        return route

    def proxy_of(self, route: R) -> str | None:
        """Return the proxy of a route as error messages name it, or `None` without a proxy."""
        return self._proxies.get(route)

    def all(self) -> list[R]:
        """Return the routes created so far."""
        return list(self._routes.values())

    def _new(self, proxy: Proxy | None, scheme: bytes) -> R:
        limit = self._options.max_connections
        options: dict[str, Any] = {
            "ssl_context": self._context() if scheme == b"https" else None,
            "max_connections": limit,
            "max_keepalive_connections": limit,
            "keepalive_expiry": KEEPALIVE_EXPIRY,
            "http1": True,
            "http2": self._options.http2,
            "network_backend": self._backend,
        }
        direct, http, socks = self._kinds
        if proxy is None:
            return direct(**options)
        parsed = parse_proxy(proxy)
        options["proxy_url"] = httpcore.URL(
            scheme=parsed.url.raw_scheme,
            host=parsed.url.raw_host,
            port=parsed.url.port,
            target=parsed.url.raw_path,
        )
        options["proxy_auth"] = parsed.raw_auth
        if parsed.url.scheme in ("socks5", "socks5h"):
            route = socks(**options)
        else:
            options["proxy_headers"] = parsed.headers.raw
            options["proxy_ssl_context"] = parsed.ssl_context
            route = http(**options)
        self._proxies[route] = f"{without_password(proxy.url)} ({proxy.source})"
        return route

    def _context(self) -> ssl.SSLContext | SharedContext:
        context = self._tls.context()
        is_sync = isinstance(self._backend, httpcore.NetworkBackend)
        return SharedContext(context) if is_sync and type(context) is ssl.SSLContext else context

    def _proxy_for(self, url: httpcore.URL) -> Proxy | None:
        if self._proxy is not None:
            return self._proxy
        if self._environment.is_empty:
            return None
        return self._environment.proxy_for(
            url.scheme.decode("ascii"), url.host.decode("ascii"), url.port
        )
