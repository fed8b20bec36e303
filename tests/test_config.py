"""Configuration by arguments and environment variables, and invalid configuration."""

from __future__ import annotations

import copy
import pickle
import ssl
import traceback
from typing import Any

import httpx
import pytest

from dashscope import AsyncClient, Client, ConfigurationError, __version__
from dashscope._common.secrets import Token
from dashscope._config import DEFAULT_BASE_URL, Config, check_headers, load
from tests.variants import variants

REMOTE = "https://api.example.com/v1"
SECRET = "r8_secret"


def configure(**changes: Any) -> Config:
    options: dict[str, Any] = {
        "api_token": None,
        "base_url": None,
        "timeout": 120.0,
        "max_retries": 5,
        "max_connections": 10,
        "max_response_bytes": 1000,
        "user_agent": None,
        "headers": None,
        "event_hooks": None,
        "proxy": None,
        "verify": True,
        "http2": False,
        "trusted_hosts": (),
        "use_file_output": True,
        "environ": {},
    }
    options |= changes
    return load(**{**options, "api_token": Token.given(options["api_token"])})


def authorization(config: Config) -> str | None:
    return None if config.token is None else config.token.authorization()


def test_the_default_is_the_local_server_without_a_token() -> None:
    config = configure()
    assert config.base_url == DEFAULT_BASE_URL == "http://127.0.0.1:3274/v1"
    assert config.is_default_address
    assert config.token is None


def test_arguments_override_the_environment() -> None:
    environ = {"DASHSCOPE_API_TOKEN": "from-environ", "DASHSCOPE_BASE_URL": "https://e.example.com"}
    config = configure(environ=environ)
    assert config.base_url == "https://e.example.com"
    assert authorization(config) == "Bearer from-environ"
    config = configure(environ=environ, base_url=REMOTE, api_token="given")
    assert config.base_url == REMOTE
    assert authorization(config) == "Bearer given"
    assert not config.is_default_address


def test_an_empty_variable_is_ignored() -> None:
    config = configure(environ={"DASHSCOPE_API_TOKEN": "", "DASHSCOPE_BASE_URL": ""})
    assert config.is_default_address
    assert config.token is None


@pytest.mark.parametrize("environ", [{}, {"DASHSCOPE_API_TOKEN": SECRET}])
def test_no_token_is_sent_to_the_default_address(environ: dict[str, str]) -> None:
    assert configure(environ=environ).token is None
    assert configure(environ=environ, api_token=SECRET).token is None


def test_an_explicit_default_address_receives_the_token() -> None:
    assert authorization(configure(base_url=DEFAULT_BASE_URL, api_token="t")) == "Bearer t"
    environ = {"DASHSCOPE_BASE_URL": DEFAULT_BASE_URL, "DASHSCOPE_API_TOKEN": "t"}
    assert authorization(configure(environ=environ)) == "Bearer t"


@pytest.mark.parametrize(
    "base_url",
    ["http://127.0.0.1:1/v1", "http://localhost:1", "http://[::1]:1/v1", "https://127.0.0.1"],
)
def test_a_token_is_optional_for_a_loopback_address(base_url: str) -> None:
    assert configure(base_url=base_url).token is None
    assert authorization(configure(base_url=base_url, api_token="t")) == "Bearer t"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1"),
        ("https://api.example.com///", "https://api.example.com"),
        ("https://api.example.com", "https://api.example.com"),
    ],
)
def test_a_trailing_slash_of_the_base_url_is_ignored(given: str, kept: str) -> None:
    assert configure(base_url=given, api_token="t").base_url == kept


@variants(
    ("options", "message"),
    [
        ({"base_url": REMOTE}, "DASHSCOPE_API_TOKEN"),
        ({"base_url": "http://127.0.0.1:0/v1"}, "port 0"),
        ({"environ": {"DASHSCOPE_BASE_URL": REMOTE}}, "DASHSCOPE_API_TOKEN"),
        ({"base_url": REMOTE, "api_token": ""}, "empty"),
        ({"base_url": DEFAULT_BASE_URL, "api_token": ""}, "empty"),
        ({"api_token": ""}, "empty"),
        ({"base_url": REMOTE, "api_token": "r8_x "}, "space"),
        ({"base_url": REMOTE, "api_token": "r8_x\n"}, "line break"),
        ({"base_url": REMOTE, "api_token": "r8_x\x00"}, "DASHSCOPE_API_TOKEN"),
        ({"base_url": REMOTE, "api_token": "r8_ü"}, "non-ASCII"),
        ({"base_url": REMOTE, "api_token": "“r8_x”"}, "non-ASCII"),
        ({"base_url": REMOTE, "api_token": b"r8_x"}, "bytes"),
        ({"base_url": REMOTE, "environ": {"DASHSCOPE_API_TOKEN": "r8 x"}}, "space"),
        ({"api_token": "r8 x"}, "space"),
        ({"base_url": "http://api.example.com/v1", "api_token": "t"}, "https://"),
        ({"base_url": "http://api.example.com/v1"}, "DASHSCOPE_API_TOKEN"),
        ({"base_url": "http://10.0.0.1/v1", "api_token": "t"}, "plain http"),
        ({"base_url": ""}, "DASHSCOPE_BASE_URL"),
        ({"base_url": "api.example.com", "api_token": "t"}, "DASHSCOPE_BASE_URL"),
        ({"base_url": "ftp://api.example.com", "api_token": "t"}, "http:// or https://"),
        ({"base_url": "https://user:word@api.example.com", "api_token": "t"}, "api_token"),
        ({"base_url": "https://api.example.com?x=1", "api_token": "t"}, "query"),
        ({"base_url": "https://api.example.com:x", "api_token": "t"}, "not a URL"),
        ({"base_url": 5, "api_token": "t"}, "int"),
        ({"environ": {"DASHSCOPE_BASE_URL": "nonsense"}}, "DASHSCOPE_BASE_URL"),
        ({"trusted_hosts": ["https://example.com"]}, r"\*\.example\.com"),
        ({"trusted_hosts": ["*"]}, "trusted_hosts"),
        ({"trusted_hosts": [""]}, "trusted_hosts"),
        ({"trusted_hosts": [None]}, "trusted_hosts"),
    ],
)
def test_invalid_configuration_names_the_setting(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        configure(**options)


@variants("make", [AsyncClient, Client])
@variants(
    ("options", "message"),
    [
        ({"base_url": REMOTE}, "DASHSCOPE_API_TOKEN"),
        ({"base_url": "nonsense"}, "DASHSCOPE_BASE_URL"),
        ({"proxy": "nonsense"}, "proxy is '.*not the URL of a proxy"),
        ({"proxy": "ftp://user:hunter2@example.com"}, "proxy is '.*not the URL of a proxy"),
        ({"http_client": object()}, "http_client"),
    ],
)
def test_an_invalid_client_cannot_be_created(
    make: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        make(**options)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    "token", ["r8_secret spaced", "r8_secret\n", "r8_sécret", "\tr8_secret", "r8_secret\x7f"]
)
def test_an_error_about_the_token_does_not_contain_it(token: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configure(base_url=REMOTE, api_token=token)
    assert "cret" not in f"{caught.value} {caught.value!r} {caught.value.args}"


def test_a_token_of_visible_ascii_is_sent_unchanged() -> None:
    token = "".join(map(chr, range(0x21, 0x7F)))
    assert authorization(configure(base_url=REMOTE, api_token=token)) == f"Bearer {token}"


@variants(
    ("options", "error", "message"),
    [
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("inf")}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "5"}, TypeError, "timeout"),
        ({"timeout": True}, TypeError, "timeout"),
        ({"max_retries": -1}, ValueError, "max_retries"),
        ({"max_retries": 1.5}, TypeError, "max_retries"),
        ({"max_retries": True}, TypeError, "max_retries"),
        ({"max_connections": 0}, ValueError, "max_connections"),
        ({"max_response_bytes": 0}, ValueError, "max_response_bytes"),
        ({"max_response_bytes": None}, TypeError, "max_response_bytes"),
        ({"headers": {"X": 5}}, TypeError, "headers"),
        ({"headers": {5: "x"}}, TypeError, "headers"),
        ({"headers": {"X Y": "x"}}, ValueError, "X Y"),
        ({"headers": {"X:": "x"}}, ValueError, "X:"),
        ({"headers": {"": "x"}}, ValueError, "HTTP header"),
        ({"headers": {"X": "a\r\nY: b"}}, ValueError, "X"),
        ({"headers": {"X": "ü"}}, ValueError, "ASCII"),
        ({"user_agent": "a\nb"}, ValueError, "User-Agent"),
        ({"trusted_hosts": "example.com"}, TypeError, r"\['example.com'\]"),
        ({"trusted_hosts": None}, TypeError, "trusted_hosts must be a list of hosts"),
        ({"headers": "X: y"}, TypeError, "headers must be a mapping of str to str"),
        ({"headers": {"Authorization": b"Bearer r8_x"}}, TypeError, "maps to bytes$"),
        ({"event_hooks": []}, TypeError, "event_hooks must be a mapping"),
        ({"event_hooks": {"request": None}}, TypeError, "list of functions"),
        ({"verify": "ca.pem"}, TypeError, "cafile"),
        ({"verify": 0}, TypeError, "verify must be True, False"),
        ({"http2": "no"}, TypeError, "http2 must be True or False"),
        ({"use_file_output": 0}, TypeError, "use_file_output must be True or False"),
        ({"timeout": 10**400}, ValueError, "timeout must be a positive number"),
        ({"max_connections": 10**400}, ValueError, "max_connections must be from 1"),
        ({"user_agent": 5}, TypeError, "user_agent"),
        ({"event_hooks": {"requests": []}}, ValueError, "'request' and 'response'"),
        ({"event_hooks": {"request": [5]}}, TypeError, "list of functions"),
        ({"event_hooks": {"request": "print"}}, TypeError, "list of functions"),
    ],
)
def test_an_option_of_the_wrong_type_is_named(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        configure(**options)


def test_options_are_stored() -> None:
    context = ssl.create_default_context()
    config = configure(
        timeout=5,
        max_retries=0,
        trusted_hosts=["Files.Example.com", "*.example.ORG"],
        event_hooks={"request": [print], "response": []},
        verify=context,
        headers={"X-App": "shop"},
    )
    assert config.timeout == 5.0
    assert config.max_retries == 0
    assert config.trusted_hosts == ("files.example.com", "*.example.org")
    assert config.event_hooks == {"request": (print,), "response": ()}
    assert config.verify is context
    assert config.headers["X-App"] == "shop"
    assert configure(timeout=None).timeout is None


def test_the_user_agent_names_the_application_and_this_client() -> None:
    assert configure().headers["User-Agent"] == f"dashscope-client/{__version__}"
    named = configure(user_agent="shop/1.0").headers["User-Agent"]
    assert named == f"shop/1.0 dashscope-client/{__version__}"


def test_valid_headers_are_accepted() -> None:
    headers = {"X-A_b.c!": "", "Accept": "a, b; q=0.5\t(c)"}
    assert check_headers(headers) == headers


class TestTokenIsHidden:
    def test_configuration_hides_the_token(self) -> None:
        config = configure(base_url=REMOTE, api_token=SECRET, proxy="http://u:hunter2@proxy:1")
        for shown in (repr(config), str(config), repr(config.token), str(config.token)):
            assert SECRET not in shown
            assert "hunter2" not in shown

    @pytest.mark.parametrize("make", [AsyncClient, Client])
    def test_client_hides_the_token(self, make: Any) -> None:
        client = make(SECRET, base_url=REMOTE)
        assert repr(client) == f"{make.__name__}(base_url='{REMOTE}')"
        assert repr(client.with_options(timeout=1)) == repr(client)
        assert SECRET not in f"{client} {client.predictions!r} {client.models.versions!r}"

    @pytest.mark.parametrize("make", [AsyncClient, Client])
    def test_a_client_with_a_token_cannot_be_pickled_or_copied(self, make: Any) -> None:
        client = make(SECRET, base_url=REMOTE)
        for tied, what in (
            (client, "api_token"),
            (client.with_options(headers={"x-secret": "a"}), "api_token, headers"),
            (make(headers={"x-secret": "a"}), "headers"),
            (make(event_hooks={"request": [print]}), "event_hooks"),
            (make(proxy="http://user:password@localhost:1"), "a password in proxy"),
            (make(verify=ssl.create_default_context()), "an SSL context"),
            (
                make(http_client=httpx.AsyncClient if make is AsyncClient else httpx.Client),
                "http_client",
            ),
        ):
            with pytest.raises(TypeError, match=f"with {what} cannot be pickled: create one in"):
                pickle.dumps(tied)
        for copied in (copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=r"Share the client.*client\.with_options"):
                copied(make())

    @pytest.mark.parametrize("make", [AsyncClient, Client])
    def test_without_a_secret_a_client_is_pickled_as_its_options(
        self, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DASHSCOPE_API_TOKEN", SECRET)
        monkeypatch.setenv("DASHSCOPE_BASE_URL", REMOTE)
        client = make(timeout=5, user_agent="app").with_options(max_retries=1)
        assert client.predictions is not None
        written = pickle.dumps(client)
        assert SECRET.encode() not in written
        assert b"dashscope._" not in written
        monkeypatch.setenv("DASHSCOPE_API_TOKEN", "r8_of_the_other_process")
        other = pickle.loads(written)
        assert type(other) is make
        config = (other if make is AsyncClient else other._async)._api.config
        assert (config.timeout, config.max_retries, config.base_url) == (5, 1, REMOTE)
        assert config.headers["User-Agent"].startswith("app ")
        assert config.token.authorization() == "Bearer r8_of_the_other_process"
        monkeypatch.delenv("DASHSCOPE_API_TOKEN")
        with pytest.raises(ConfigurationError, match="requires an API token"):
            pickle.loads(written)

    @pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_a_token_cannot_be_pickled(self, copied: Any) -> None:
        with pytest.raises(TypeError, match="tokens cannot be pickled"):
            copied(Token(SECRET))
        with pytest.raises(TypeError, match="tokens cannot be pickled"):
            pickle.dumps(configure(base_url=REMOTE, api_token=SECRET))

    def test_text_that_contains_the_token_is_redacted(self) -> None:
        assert Token(SECRET).scrub(f"no such token: {SECRET}!") == "no such token: ***!"


@pytest.mark.parametrize("make", [AsyncClient, Client])
def test_a_failed_constructor_hides_the_token_in_tracebacks(make: Any) -> None:
    with pytest.raises(TypeError) as caught:
        make(timeout="5")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "timeout must be a number" in "".join(shown.format())
