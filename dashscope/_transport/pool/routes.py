"""The ways out of a client: direct, or through a proxy, with or without TLS.

A route opens connections; the pool keeps them. Each is httpcore's own pool of that kind, which
knows how to open its connections; in the async client it is also left to share those of HTTP/2,
which serve many requests at once.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.request import getproxies, proxy_bypass

import httpcore

from dashscope._errors import ConfigurationError
from dashscope._transport.pool.idle import KEEPALIVE_EXPIRY

if TYPE_CHECKING:
    import httpx

    from dashscope._config import Config

R = TypeVar("R", bound=httpcore.AsyncConnectionPool | httpcore.ConnectionPool)

SOCKS = (httpcore.AsyncSOCKSProxy, httpcore.SOCKSProxy)


class TLS:
    """The SSL context of a client.

    One for all its connections, made at the first https request: each costs tens of
    milliseconds.
    """

    def __init__(self, verify: bool | ssl.SSLContext) -> None:
        self._verify = verify
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The context, made at the first call."""
        import httpx  # only https and proxies need it

        with self._lock:
            if self._context is None:
                self._context = httpx.create_ssl_context(verify=self._verify)
            return self._context


def proxy_at(address: str, named: str) -> httpx.Proxy:
    """The proxy at an address.

    Raises:
        ConfigurationError: when it is none that can be used; the address may hold a password,
            so it goes by what it is `named`.
    """
    import httpx

    try:
        proxy = httpx.Proxy(address)
        _ = proxy.url.raw_host, proxy.raw_auth
    except (ValueError, TypeError, httpx.InvalidURL) as error:
        problem = type(error).__name__
    else:
        port = proxy.url.port
        if not proxy.url.host or (port is not None and not 0 < port < 65536):
            problem = "it has no host, or no port that there is"
        elif proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
            raise ConfigurationError("A SOCKS proxy needs: pip install 'dashscope-client[socks]'")
        else:
            return proxy
    raise ConfigurationError(f"{named} is a URL such as http://127.0.0.1:8080 ({problem}).")


class Routes(Generic[R]):
    """The routes of a client (in one event loop), made when they are first needed.

    Args:
        config: the proxy, and how connections are kept.
        tls: the SSL context.
        kinds: httpcore's pools: for direct connections, HTTP proxies and SOCKS proxies.
        backend: the sockets.
    """

    def __init__(
        self,
        config: Config,
        tls: TLS,
        kinds: tuple[Callable[..., R], Callable[..., R], Callable[..., R]],
        backend: httpcore.AsyncNetworkBackend | httpcore.NetworkBackend,
    ) -> None:
        self._config = config
        self._tls = tls
        self._kinds = kinds
        self._backend = backend
        self._lock = threading.Lock()
        self._proxies = getproxies()
        self._routes: dict[tuple[str | None, bytes], R] = {}

    def to(self, url: httpcore.URL) -> R:
        """The route to a URL."""
        key = self._proxy_for(url), url.scheme
        route = self._routes.get(key)
        if route is None:
            with self._lock:
                route = self._routes.get(key)
                if route is None:
                    route = self._routes[key] = self._new(*key)
        return route

    def all(self) -> list[R]:
        """The routes made so far."""
        return list(self._routes.values())

    def _new(self, proxy: str | None, scheme: bytes) -> R:
        config = self._config
        options: dict[str, Any] = {
            "ssl_context": self._tls.context() if scheme == b"https" else None,
            "max_connections": config.max_connections,
            "max_keepalive_connections": config.max_connections,
            "keepalive_expiry": KEEPALIVE_EXPIRY,
            "http1": True,
            "http2": config.http2,
            "network_backend": self._backend,
        }
        direct, http, socks = self._kinds
        if proxy is None:
            return direct(**options)
        through = proxy_at(proxy, "The proxy of the environment")
        options["proxy_url"] = httpcore.URL(
            scheme=through.url.raw_scheme,
            host=through.url.raw_host,
            port=through.url.port,
            target=through.url.raw_path,
        )
        options["proxy_auth"] = through.raw_auth
        if through.url.scheme in ("socks5", "socks5h"):
            return socks(**options)
        options["proxy_headers"] = through.headers.raw
        options["proxy_ssl_context"] = through.ssl_context
        return http(**options)

    def _proxy_for(self, url: httpcore.URL) -> str | None:
        if self._config.proxy is not None:
            return self._config.proxy
        if not self._proxies:
            return None
        scheme, host = url.scheme.decode("ascii"), url.host.decode("ascii")
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        if proxy is None or proxy_bypass(host if url.port is None else f"{host}:{url.port}"):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"
