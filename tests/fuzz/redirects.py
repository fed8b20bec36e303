"""Redirects of files never send the token elsewhere and never reach a private network.

The first byte selects the base URL, and whether the server returns the URL as an output or as a
redirect.
"""

from __future__ import annotations

import ipaddress

import httpx

from dashscope import DashscopeError
from dashscope._files.file_output import wrap_file_outputs
from tests.fuzz.scripted import TOKEN, client_of

BASES = ("https://api.example.com/v1", "http://127.0.0.1:3274/v1")
TRUSTED = "files.example.net"
SEEDS = (
    b"\x00https://api.example.com/v1/files/f1/download?a=1",
    b"\x01https://files.example.net/a.png",
    b"\x02https://elsewhere.example.org/a.png",
    b"\x00http://api.example.com/v1/x",
    b"\x02http://127.0.0.1:3274/v1/x",
    b"\x01http://[",
    b"\x00https://[::ffff:127.0.0.1]/",
    b"\x00https://0x7f.1/",
    b"\x00https://user:password@api.example.com/",
    b"\x00https://api.example.com\\@elsewhere.example.org/",
    b"\x00https://api.example.com#@elsewhere.example.org/",
    b"\x01//elsewhere.example.org/a",
    b"\x01/\\elsewhere.example.org/a",
    b"\x01https:elsewhere",
    b"\x01data:text/plain,x",
    b"\x00https://api.example.com:0443/",
    b"\x00https://api.example.com:99999/",
    b"\x00HTTPS://API.EXAMPLE.COM/",
    b"\x00https://api.example.com./",
    "\x00https://ａｐｉ.example.com/".encode(),
    "\x00https://１２７.0.0.1/".encode(),
    "\x00https://127。0。0。1/".encode(),
    "\x00https://xn--a/é?ü".encode(),
    b"\x00data:;base64,AAA",
    b"\x01//xn--",
)


def one_input(data: bytes) -> None:
    choice = data[0] if data else 0
    url = data[1:].decode("utf-8", "replace")
    base = BASES[choice >> 1 & 1]
    home = httpx.URL(base)
    first = True

    def response(request: httpx.Request) -> httpx.Response:
        nonlocal first
        to = request.url
        assert to.scheme in ("http", "https")
        assert to.host
        at_home = (to.scheme, to.host, to.port) == (home.scheme, home.host, home.port)
        trusted = to.scheme == "https" and to.host == TRUSTED
        assert ("authorization" in request.headers) == (at_home or trusted)
        for name, value in request.headers.items():
            assert TOKEN not in value or name == "authorization"
        assert not to.userinfo
        if home.scheme == "https":
            assert to.scheme == "https"
            assert not is_internal(to.host)
        if choice & 1 and first:
            first = False
            return httpx.Response(302, headers=[(b"location", url.encode())])
        return httpx.Response(200, content=b"content")

    client = client_of(response, base_url=base, trusted_hosts=[TRUSTED], max_retries=0)
    begin = f"{base}/files/f1/download" if choice & 1 else url
    output = wrap_file_outputs(begin, client._async._api)
    if type(output) is str:
        return  # not a URL
    assert isinstance(output.filename, str)
    assert output.content_type is None or isinstance(output.content_type, str)
    try:
        content = output.read()
    except DashscopeError as error:
        assert TOKEN not in str(error)
    else:
        assert isinstance(content, bytes)


def is_internal(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return False
