"""Configuration: arguments and environment variables in, one checked `Config` out.

`AsyncClient` calls `load()` once. Every problem with a token, an address or a header is reported
here, before any request.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from attrs import field, frozen

from dashscope._common import urls
from dashscope._common.secrets import HOW_TO_SET, Token
from dashscope._common.validation import (
    check_count,
    check_flag,
    check_mapping,
    check_several,
    check_text,
    check_timeout,
    shown,
)
from dashscope._errors import ConfigurationError
from dashscope.types.http import masked, merged

__version__ = "0.2.0"

DEFAULT_BASE_URL: Final = "http://127.0.0.1:3274/v1"
DEFAULT_TIMEOUT: Final = 120.0
DEFAULT_MAX_RETRIES: Final = 5
DEFAULT_MAX_CONNECTIONS: Final = 1000
DEFAULT_MAX_RESPONSE_BYTES: Final = 256 * 1024 * 1024
STALL_TIMEOUT: Final = 60.0
"""Seconds without a byte after which a stream reconnects. Servers send comments more often."""
UNCHANGED: Final[Any] = object()
"""The default of the options of `with_options()`."""

EventHooks: TypeAlias = Mapping[Literal["request", "response"], Sequence[Callable[[Any], object]]]
"""Functions to call with each `Request` before it is sent and with each `Response` received.

A request hook may return a `Request` to send in its place. If that goes to another origin, which is
not trusted, the headers of the original request that may contain secrets are left out.
"""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")
_FRAMING = frozenset({"content-length", "transfer-encoding"})


@frozen(kw_only=True)
class Config:
    """The configuration of a client. `with_options()` creates a changed copy."""

    base_url: str
    is_default_address: bool
    token: Token | None
    timeout: float | None
    max_retries: int
    headers: Mapping[str, str] = field(repr=masked)
    max_connections: int
    max_response_bytes: int
    event_hooks: EventHooks
    proxy: str | None = field(repr=False)
    verify: bool | ssl.SSLContext
    http2: bool
    trusted_hosts: tuple[str, ...]
    use_file_output: bool


def load(
    *,
    api_token: Token | None,
    base_url: str | None,
    timeout: float | None,
    max_retries: int,
    max_connections: int,
    max_response_bytes: int,
    user_agent: str | None,
    headers: Mapping[str, str] | None,
    event_hooks: EventHooks | None,
    proxy: str | None,
    verify: bool | ssl.SSLContext,
    http2: bool,
    trusted_hosts: Sequence[str],
    use_file_output: bool,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Check the arguments of a client, and read the environment variables.

    Raises:
        ConfigurationError: If a setting cannot work. The message says what to set.
    """
    address = base_url
    if address is None:
        address = _variables(environ).get("DASHSCOPE_BASE_URL") or None
    is_default = address is None
    base = _base_url(DEFAULT_BASE_URL if address is None else address)
    return Config(
        base_url=base,
        is_default_address=is_default,
        token=_token(api_token or _token_of(environ), base, is_default=is_default),
        timeout=check_timeout(timeout),
        max_retries=check_count("max_retries", max_retries, least=0),
        headers=merged({"User-Agent": _user_agent(user_agent)}, check_headers(headers)),
        max_connections=check_count("max_connections", max_connections, least=1),
        max_response_bytes=check_count("max_response_bytes", max_response_bytes, least=1),
        event_hooks=_event_hooks({} if event_hooks is None else event_hooks),
        proxy=proxy,
        verify=_verify(verify),
        http2=check_flag("http2", http2),
        trusted_hosts=_trusted_hosts(trusted_hosts),
        use_file_output=check_flag("use_file_output", use_file_output),
    )


def picklable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a client for a pickle.

    A base URL never contains a password.

    Raises:
        TypeError: If an option is secret, or belongs to this process.
    """
    tied = ("api_token", "headers", "event_hooks", "http_client")
    reasons = [name for name in tied if options[name]]
    if isinstance(options["verify"], ssl.SSLContext):
        reasons.append("an SSL context")
    if "@" in (options["proxy"] or ""):
        reasons.append("a password in proxy")
    if reasons:
        raise TypeError(
            f"clients with {', '.join(reasons)} cannot be pickled: create one in the process that "
            "uses it"
        )
    return {name: value for name, value in options.items() if name not in tied}


def check_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Return the caller's headers if they can be sent unchanged."""
    if headers is None:
        return {}
    for name, value in check_mapping("headers", headers, "of str to str").items():
        if not isinstance(name, str) or not isinstance(value, str):
            kind = type(value).__name__  # the value may be secret
            raise TypeError(f"headers must map str to str, but {shown(name)} maps to {kind}")
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{shown(name)} is not a valid name of an HTTP header")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"the header {name} has an invalid value: "
                "use one line of ASCII, without leading or trailing spaces"
            )
        if name.lower() in _FRAMING:
            raise ValueError(f"the header {name} is set from the body: do not pass it")
    return dict(headers)


def _base_url(text: str) -> str:
    reason = urls.base_url_problem(text)
    if reason is not None:
        raise ConfigurationError(
            f"The base URL {reason}. "
            f"Pass base_url=... or set DASHSCOPE_BASE_URL, for example to {DEFAULT_BASE_URL}."
        )
    scheme, _, rest = text.rstrip("/").partition("://")
    return f"{scheme.lower()}://{rest}"


def _variables(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    # Not assigned to a variable: tracebacks that show variables must not show the token.
    return os.environ if environ is None else environ


def _token_of(environ: Mapping[str, str] | None) -> Token | None:
    if not _variables(environ).get("DASHSCOPE_API_TOKEN"):
        return None
    return Token(_variables(environ)["DASHSCOPE_API_TOKEN"])


def _token(token: Token | None, base_url: str, *, is_default: bool) -> Token | None:
    loopback = urls.is_loopback(base_url)
    if token is None:
        if loopback:
            return None
        raise ConfigurationError(f"{base_url} requires an API token. {HOW_TO_SET}")
    if (problem := token.problem()) is not None:
        raise ConfigurationError(f"The API token {problem} {HOW_TO_SET}")
    if not loopback and base_url.startswith("http://"):
        raise ConfigurationError(
            f"The API token is not sent over plain http to {base_url}, where others could read it. "
            "Set the base URL to https://..."
        )
    # The token is meant for an address that the user set. The default address is a guess.
    return None if is_default else token


def _verify(verify: bool | ssl.SSLContext) -> bool | ssl.SSLContext:
    if not isinstance(verify, bool | ssl.SSLContext):
        raise TypeError(
            f"verify must be True, False or an ssl.SSLContext, not {shown(verify)}. For a file of "
            "certificates, pass ssl.create_default_context(cafile=...)"
        )
    return verify


def _user_agent(prefix: str | None) -> str:
    ours = f"dashscope-client/{__version__}"
    if prefix is None:
        return ours
    check_text("user_agent", prefix)
    check_headers({"User-Agent": prefix})
    return f"{prefix} {ours}"


def _event_hooks(hooks: EventHooks) -> EventHooks:
    checked: dict[Literal["request", "response"], Sequence[Callable[[Any], object]]] = {}
    for name, functions in check_mapping("event_hooks", hooks, "of lists of functions").items():
        if name not in ("request", "response"):
            raise ValueError(
                f"event_hooks can have the keys 'request' and 'response', not {name!r}"
            )
        found = check_several(f"event_hooks[{name!r}]", functions, "functions")
        if not all(callable(function) for function in found):
            raise TypeError(f"event_hooks[{name!r}] must be a list of functions")
        checked[name] = tuple(found)
    return checked


def _trusted_hosts(hosts: Sequence[str]) -> tuple[str, ...]:
    for host in check_several("trusted_hosts", hosts, "hosts"):
        if not urls.is_host_pattern(host):
            raise ConfigurationError(
                f"trusted_hosts must contain hosts such as api.example.com or *.example.com, not "
                f"{host!r}."
            )
    return tuple(host.lower() for host in hosts)
