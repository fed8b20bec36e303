"""URLs: base URLs, paths, redirects, and which origins receive the token."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscope._common import urls
from tests.variants import variants

BASE = "https://api.example.com/v1"
LOCAL = "http://127.0.0.1:3274/v1"


@variants(
    "text",
    [
        "https://api.example.com/v1",
        "https://api.example.com",
        "https://api.example.com:8443/v1/",
        "http://127.0.0.1:3274/v1",
        "http://localhost:3274/v1",
        "http://[::1]:3274/v1",
        "HTTPS://API.EXAMPLE.COM/v1",
    ],
)
def test_a_base_url_needs_http_or_https_and_a_host(text: str) -> None:
    assert urls.base_url_problem(text) is None


@variants(
    ("text", "problem"),
    [
        ("", "empty"),
        ("api.example.com/v1", "http:// or https://"),
        ("//api.example.com/v1", "http:// or https://"),
        ("ftp://api.example.com/v1", "http:// or https://"),
        ("file:///etc/passwd", "http:// or https://"),
        ("data:text/plain,hello", "http:// or https://"),
        ("https://", "http:// or https://"),
        ("https:///v1", "http:// or https://"),
        ("https://:8443/v1", "http:// or https://"),
        ("https://user@api.example.com/v1", "api_token"),
        ("https://user:word@api.example.com/v1", "api_token"),
        ("https://:@api.example.com/v1", "api_token"),
        ("https://@api.example.com/v1", "api_token"),
        ("https://api.example.com/v1?key=value", "query"),
        ("https://api.example.com/v1#part", "fragment"),
        (" https://api.example.com/v1", "space"),
        ("https://api.example.com/v1\n", "space"),
        ("https://api.exam\tple.com/v1", "space"),
        ("https://api.example.com/\x00", "control"),
        ("https://api.example.com:port/v1", "not a URL"),
        ("https://api.example.com:65536/v1", "not a URL"),
        ("https://[::1/v1", "not a URL"),
        ("https://[example]/v1", "not a URL"),
        (None, "NoneType"),
        (5, "int"),
        (b"https://api.example.com", "bytes"),
    ],
)
def test_an_error_explains_the_invalid_base_url(text: Any, problem: str) -> None:
    message = urls.base_url_problem(text)
    assert message is not None
    assert problem in message


def test_errors_do_not_contain_the_password_of_a_base_url() -> None:
    message = urls.base_url_problem("https://user:hunter2@api.example.com/v1")
    assert message is not None
    assert "hunter2" not in message


@given(st.text())
def test_a_path_segment_is_escaped_or_rejected(value: str) -> None:
    try:
        made = urls.segment("name", value)
    except ValueError:
        assert value in ("", ".", "..") or any("\ud800" <= c <= "\udfff" for c in value)
        return
    assert unquote(made, errors="strict") == value
    # The value stays one segment: it cannot split the path, start a query, or go up.
    assert not set(made) & set("/?#\\ ;:@&=+")
    assert made.isascii()
    parts = urlsplit(f"https://api.example.com/v1/models/{made}/versions?x=1")
    assert parts.path == f"/v1/models/{made}/versions"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text(min_size=1))
def test_path_values_cannot_change_the_path(owner: str, name: str) -> None:
    try:
        made = urls.path("/models/{owner}/{name}/versions", owner=owner, name=name)
    except ValueError:
        return
    assert [unquote(part) for part in made.split("/")] == ["", "models", owner, name, "versions"]
    assert urls.absolute(BASE, made) == BASE + made


@pytest.mark.parametrize("value", [None, 5, b"name", ["name"], object()])
def test_a_segment_must_be_text(value: Any) -> None:
    with pytest.raises(TypeError, match="owner must be a str"):
        urls.path("/models/{owner}", owner=value)


@pytest.mark.parametrize("value", ["", ".", "..", "\ud800"])
def test_an_invalid_segment_is_rejected(value: str) -> None:
    with pytest.raises(ValueError, match="owner"):
        urls.path("/models/{owner}", owner=value)


@variants(
    ("path", "url"),
    [
        ("/account", f"{BASE}/account"),
        ("/models?cursor=a%20b", f"{BASE}/models?cursor=a%20b"),
        ("/a..b/.c/d.", f"{BASE}/a..b/.c/d."),
        ("/search?query=../x", f"{BASE}/search?query=../x"),
        ("//evil.example.com/x", f"{BASE}//evil.example.com/x"),
        ("https://elsewhere.example.com/x", "https://elsewhere.example.com/x"),
        ("http://elsewhere.example.com/x", "http://elsewhere.example.com/x"),
    ],
)
def test_a_path_is_below_the_base_url(path: str, url: str) -> None:
    assert urls.absolute(BASE, path) == url


@pytest.mark.parametrize(
    ("url", "params", "expected"),
    [
        ("/x", [], "/x"),
        ("/x", [("a", "1")], "/x?a=1"),
        ("/x?", [("a", "1")], "/x?a=1"),
        ("/x?b=2", [("a", "1 2"), ("a", "#")], "/x?b=2&a=1+2&a=%23"),
        ("/x#part", [], "/x"),
        ("/x#part", [("a", "1")], "/x?a=1"),
        ("/x?b=2#part?c=3", [("a", "1")], "/x?b=2&a=1"),
        ("https://example.com/x#", [("a", "1")], "https://example.com/x?a=1"),
    ],
)
def test_a_query_precedes_the_fragment_which_is_not_sent(
    url: str, params: list[tuple[str, str]], expected: str
) -> None:
    assert urls.with_query(url, params) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "account",
        "ftp://example.com/x",
        "/a b",
        "/a\nb",
        "/..",
        "/../account",
        "/models/./x",
        "/models/%2e%2e/x",
        "/models/%2E./x",
        "/models/.%2e",
    ],
)
def test_a_path_outside_the_base_url_is_rejected(path: str) -> None:
    with pytest.raises(ValueError, match="^path"):
        urls.absolute(BASE, path)


@given(
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.text("aä&=+%?#/ ")),
        min_size=1,
    )
)
def test_the_query_of_a_page_url_is_kept(pairs: list[tuple[str, str]]) -> None:
    url = "http://elsewhere.example.com/v1/predictions?" + urlencode(pairs)
    assert urls.page_query(url) == pairs


def test_blank_and_repeated_values_in_a_query_are_kept() -> None:
    assert urls.page_query("?cursor=&a=1&a=2&b") == [
        ("cursor", ""),
        ("a", "1"),
        ("a", "2"),
        ("b", ""),
    ]
    for none in ("https://api.example.com/v1/predictions", "?", "/a?", "", "a\n", "http://[?a=1"):
        with pytest.raises(urls.InvalidURLError, match="of a page"):
            urls.page_query(none)
    assert urls.page_query("bare") == [("cursor", "bare")]


@variants(
    ("a", "b", "same"),
    [
        (BASE, "https://api.example.com/other", True),
        (BASE, "https://API.Example.COM/v1", True),
        (BASE, "https://api.example.com:443/v1", True),
        (LOCAL, "http://127.0.0.1:3274/", True),
        ("http://a.example.com", "http://a.example.com:80", True),
        (BASE, "http://api.example.com/v1", False),
        (BASE, "http://api.example.com:443/v1", False),
        (BASE, "https://api.example.com:8443/v1", False),
        (BASE, "https://example.com/v1", False),
        (BASE, "https://api.example.com.evil.com/v1", False),
        (BASE, "https://evil.com/https://api.example.com/v1", False),
        (BASE, "https://api.example.com@evil.com/v1", False),
        (BASE, "https://evil.com#@api.example.com/v1", False),
        (BASE, "https://evil.com?@api.example.com/v1", False),
        (BASE, "https://[", False),
        (LOCAL, "http://localhost:3274/v1", False),
    ],
)
def test_an_origin_has_scheme_host_and_port(a: str, b: str, same: bool) -> None:
    assert urls.same_origin(a, b) is same
    assert urls.same_origin(b, a) is same
    # Only the origin of the API receives the token by default.
    assert urls.gets_token(b, a, ()) is same


@variants(
    ("url", "trusted", "verdict"),
    [
        ("https://files.example.com/x", ["files.example.com"], True),
        ("https://FILES.example.com/x", ["files.example.com"], True),
        ("https://files.example.com:8443/x", ["files.example.com"], True),
        ("https://files.example.com/x", ["*.example.com"], True),
        ("https://a.b.example.com/x", ["*.example.com"], True),
        ("https://x.org/", ["*.example.com", "x.org"], True),
        ("https://example.com/x", ["*.example.com"], False),
        ("https://evil-example.com/x", ["*.example.com"], False),
        ("https://evil-example.com/x", ["example.com"], False),
        ("https://evilexample.com/x", ["example.com"], False),
        ("https://a.files.example.com/x", ["files.example.com"], False),
        ("https://example.com.evil.com/x", ["*.example.com", "example.com"], False),
        ("https://evil.com/.example.com", ["*.example.com"], False),
        ("https://evil.com?.example.com", ["*.example.com"], False),
        ("https://files.example.com@evil.com/x", ["*.example.com"], False),
        ("http://files.example.com/x", ["files.example.com"], False),
        ("ftp://files.example.com/x", ["files.example.com"], False),
        ("https:///x", ["*.example.com"], False),
        ("https://[", ["*.example.com"], False),
        ("https://files.example.com:x/", ["*.example.com"], False),
        ("https://files.example.com/x", [], False),
    ],
)
def test_a_trusted_host_receives_the_token_over_https(
    url: str, trusted: list[str], verdict: bool
) -> None:
    assert urls.gets_token(url, BASE, trusted) is verdict


@variants(
    ("pattern", "valid"),
    [
        ("example.com", True),
        ("*.example.com", True),
        ("localhost", True),
        ("10.0.0.1", True),
        ("*", False),
        ("*.", False),
        ("", False),
        ("*example.com", False),
        ("a.*.example.com", False),
        ("*.*.example.com", False),
        ("https://example.com", False),
        ("example.com:443", False),
        ("example.com/", False),
        (".example.com", False),
        ("example.com\n", False),
        (None, False),
        (5, False),
    ],
)
def test_a_trusted_host_may_have_a_wildcard(pattern: Any, valid: bool) -> None:
    assert urls.is_host_pattern(pattern) is valid


@variants(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:3274/v1", True),
        ("http://127.9.9.9/v1", True),
        ("http://localhost/v1", True),
        ("http://LOCALHOST/v1", True),
        ("http://[::1]/v1", True),
        ("http://[0:0:0:0:0:0:0:1]/v1", True),
        ("http://[::ffff:127.0.0.1]/v1", True),
        ("http://127.1/v1", True),
        ("http://2130706433/v1", True),
        ("http://0x7f000001/v1", True),
        ("http://0.0.0.0/v1", False),
        ("http://10.0.0.1/v1", False),
        ("http://128.0.0.1/v1", False),
        ("http://localhost.example.com/v1", False),
        ("http://127.0.0.1.example.com/v1", False),
        ("http://api.example.com/v1", False),
    ],
)
def test_loopback_urls_are_recognized(url: str, loopback: bool) -> None:
    assert urls.is_loopback(url) is loopback


INTERNAL_HOSTS = [
    # names
    "localhost",
    "LocalHost",
    "localhost.",
    "db.localhost",
    # loopback addresses in all spellings that a resolver accepts
    "127.0.0.1",
    "127.0.0.1.",
    "127.255.255.254",
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.1",
    "0x7f000001",
    "0X7F.0.0.1",
    "0x7f.1",
    "0",
    "0.0.0.0",
    "0x0",
    # private, shared and link-local
    "10.0.0.1",
    "10.1",
    "167772161",
    "012.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "192.168.257",
    "0xc0a80001",
    "169.254.169.254",
    "2852039166",
    "0251.0376.0251.0376",
    "100.64.0.1",
    "255.255.255.255",
    # IPv6
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
]


@variants("host", INTERNAL_HOSTS)
def test_a_hosted_api_may_not_link_to_a_private_network(host: str) -> None:
    for url in (f"https://{host}/x", f"https://{host}:8443/x"):
        message = urls.url_rejection(url, BASE)
        assert message is not None
        assert "private network" in message


@variants("host", INTERNAL_HOSTS)
def test_a_local_server_may_link_to_local_addresses(host: str) -> None:
    assert urls.url_rejection(f"http://{host}/x", LOCAL) is None


@given(st.integers(0, 2**32 - 1))
def test_every_spelling_of_an_address_is_recognized(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    a, b, c, d = address.packed
    spellings = [
        str(address),
        str(number),
        hex(number),
        f"0{number:o}",
        f"{a}.{number & 0xFFFFFF}",
        f"{a}.{b}.{number & 0xFFFF}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"[::ffff:{address}]",
    ]
    refused = {urls.url_rejection(f"https://{host}/", BASE) is not None for host in spellings}
    assert refused == {not address.is_global}


@variants(
    ("url", "reason"),
    [
        ("ftp://files.example.com/x", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("gopher://files.example.com/", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("//files.example.com/x", "scheme"),
        ("files.example.com/x", "scheme"),
        ("/etc/passwd", "scheme"),
        ("", "scheme"),
        ("https://", "no host"),
        ("https:files.example.com/x", "no host"),
        ("https:///x", "no host"),
        ("https://:443/x", "no host"),
        ("https://user@files.example.com/x", "user name or password"),
        ("https://user:word@files.example.com/x", "user name or password"),
        ("https://api.example.com\\@files.example.com/x", "user name or password"),
        ("https://files.example.com/a b", "control character"),
        ("https://files.example.com/a\r\nHost: x", "control character"),
        ("https://files.exam\tple.com/", "control character"),
        ("https://files.example.com/\x7f", "control character"),
        (" https://files.example.com/", "control character"),
        ("https://files.example.com:x/", "not a URL"),
        ("https://files.example.com:99999/", "not a URL"),
        ("https://[::1/", "not a URL"),
        ("http://files.example.com/x", "goes from https"),
        ("http://api.example.com/v1/x", "goes from https"),
    ],
)
def test_the_rejection_of_a_url_has_a_reason(url: str, reason: str) -> None:
    message = urls.url_rejection(url, BASE)
    assert message is not None
    assert reason in message


@variants(
    ("url", "base", "came_from", "allowed"),
    [
        ("https://files.example.com/x?y=1#z", BASE, None, True),
        ("HTTPS://FILES.example.com/x", BASE, None, True),
        ("https://8.8.8.8/x", BASE, None, True),
        ("https://[2606:4700::1111]/x", BASE, None, True),
        ("https://127.0.0.1.example.com/x", BASE, None, True),
        ("https://localhost.example.com/x", BASE, None, True),
        ("https://1.2.3.4.5/x", BASE, None, True),
        ("https://256.1.1.1/x", BASE, None, True),
        # A downgrade is rejected at any step of the chain.
        ("http://files.example.com/x", LOCAL, None, True),
        ("https://files.example.com/x", LOCAL, None, True),
        ("http://files.example.com/x", LOCAL, "http://127.0.0.1:3274/y", True),
        ("http://files.example.com/x", LOCAL, "https://files.example.com/y", False),
        ("http://files.example.com/x", BASE, "https://files.example.com/y", False),
        ("https://files.example.com/x", LOCAL, "https://files.example.com/y", True),
    ],
)
def test_redirects_may_upgrade_to_https_but_not_downgrade(
    url: str, base: str, came_from: str | None, allowed: bool
) -> None:
    assert (urls.url_rejection(url, base, came_from=came_from) is None) is allowed


@given(st.text(), st.sampled_from([BASE, LOCAL]))
def test_any_text_is_accepted_or_rejected(url: str, base: str) -> None:
    urls.url_rejection(url, base)
    urls.url_rejection("https://" + url, base)
    assert isinstance(urls.gets_token("https://" + url, base, ("*.example.com",)), bool)
    urls.base_url_problem("https://" + url)


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])))
def test_query_values_round_trip(cursor: str) -> None:
    url = f"http://api.example.com/v1/models?cursor={quote(cursor, safe='')}&limit=2"
    assert parse_qsl(urlencode(urls.page_query(url)), keep_blank_values=True) == [
        ("cursor", cursor),
        ("limit", "2"),
    ]
