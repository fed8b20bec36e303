"""Regressions: mistakes that a client made once or could easily make."""

from __future__ import annotations

import io
import pickle
import time
from enum import Enum
from typing import Any

import attrs
import pytest

from dashscope import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    BadRequestError,
    ConfigurationError,
    DashscopeError,
    File,
    FileError,
    Headers,
    Progress,
    Response,
)
from dashscope._api.resource import page_params
from dashscope._common import urls
from dashscope._files.download import decode_data_uri
from dashscope._files.file_output import wrap_file_outputs
from dashscope.types._structure import parse_time
from tests.files.test_files import CONTENT, CUT_OFF, SIGNED, file_output, sends
from tests.flavors import _plain
from tests.servers.fake_server import DROP, FakeServer, Reply, prediction, reply
from tests.test_config import configure
from tests.variants import variants

BASE = "https://api.example.com/v1"


# ---------- security
@pytest.mark.parametrize(
    "host", ["127。0。0。1", "169．254｡169。254", "foo。localhost", "localhost。"]
)
def test_unicode_dots_in_hosts_are_normalized(host):
    assert urls.url_rejection(f"https://{host}/x", BASE) is not None


@pytest.mark.parametrize(
    "host",
    ["[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[2002:7f00:1::]", "[::127.0.0.1]", "[fec0::1]"],
)
def test_embedded_ipv4_addresses_are_recognized(host):
    assert urls.url_rejection(f"https://{host}/x", BASE) is not None


def test_upper_case_http_base_url_with_token():
    with pytest.raises(ConfigurationError):
        configure(base_url="HTTP://api.example.com/v1", api_token="t")


def test_upper_case_https_downgrade_base():
    assert (
        urls.url_rejection("http://files.example.com/x", "HTTPS://api.example.com/v1") is not None
    )


def test_upper_case_https_downgrade_redirect():
    assert (
        urls.url_rejection(
            "http://files.example.com/x", "http://127.0.0.1/v1", came_from="HTTPS://a.example.com/"
        )
        is not None
    )


def test_password_in_malformed_base_url():
    assert "hunter2" not in str(urls.base_url_problem("https://user:hunter2@host:99999/v1"))


@pytest.mark.parametrize("url", ["https://api.example.com/v1?", "https://api.example.com/v1#"])
def test_empty_query_base_url(url):
    assert urls.base_url_problem(url) is not None


async def test_file_name_is_a_path(make_client, fake_server, tmp_path):
    client = make_client(base_url=fake_server.base_url)
    fake_server.respond_with(sends(b"x"))
    folder = tmp_path / "in"
    folder.mkdir()
    async with client.files.download(File(id="f1", name="../evil.txt"), **SIGNED) as d:
        saved = await d.save(folder)
    assert saved.resolve().parent == folder.resolve()


async def test_custom_headers_go_to_other_origins(make_client, fake_server, other_fake_server):
    client = make_client("r8_token", base_url=fake_server.base_url, headers={"X-Api-Key": "secret"})
    output = await file_output(client, fake_server)
    output = _plain(
        wrap_file_outputs(
            other_fake_server.base_url + "/x",
            (client._value._async if hasattr(client, "_value") else client)._api,
        )
    )
    other_fake_server.respond_with(Reply(200, {}, b"x"))
    await output.read()
    assert "X-Api-Key" not in other_fake_server.requests[0].headers


async def test_token_echoed_in_a_good_answer(with_token, fake_server):
    fake_server.respond_with(
        Reply(200, {"content-type": "text/html"}, b"<html>you sent Bearer r8_token")
    )
    with pytest.raises(APIResponseError) as caught:
        await with_token.account.get()
    assert "r8_token" not in f"{caught.value} {vars(caught.value)}"


async def test_token_echoed_in_a_header(with_token, fake_server):
    fake_server.respond_with(reply({}, 400, x_echo="Bearer r8_token"))
    with pytest.raises(BadRequestError) as caught:
        await with_token.account.get()
    assert "r8_token" not in f"{vars(caught.value)}"


@variants("ref", ["owner/na?me", "owner/na#me", "own%2Fer/name"])
async def test_ref_unescaped(scripted_client, fake_server, ref):
    fake_server.respond_with(reply(prediction("succeeded"), 201))
    try:
        await scripted_client.run(ref, {})
    except ValueError:
        return
    owner, name = ref.split("/")
    from urllib.parse import quote

    assert fake_server.request_lines == [
        f"POST /v1/models/{quote(owner, safe='')}/{quote(name, safe='')}/predictions"
    ]


# ---------- retries


async def test_download_retried(scripted_client, fake_server, no_jitter):
    for bad in (reply({}, 503), DROP, reply({}, 429, retry_after="0")):
        fake_server.respond_with([bad, sends(b"x")])
        async with scripted_client.files.download("f1", **SIGNED) as d:
            assert await d.read() == b"x"


# ---------- lists
def test_cursor_with_slash():
    assert page_params("cD0yMDI2/abc=", {}) == [("cursor", "cD0yMDI2/abc=")]


# ---------- headers
async def test_header_case(make_client, fake_server):
    fake_server.respond_with(reply({}))
    client = make_client(base_url=fake_server.base_url, headers={"user-agent": "mine"})
    await client.request("POST", "/x", json={}, headers={"content-type": "application/vnd+json"})
    names = [n.lower() for n in fake_server.requests[0].headers]
    assert len(names) == len(set(names))
    assert fake_server.requests[0].headers.get("content-type") == "application/vnd+json"


# ---------- errors
async def test_undecodable_create_may_have_been_created(scripted_client, fake_server):
    for a in (
        Reply(201, {"content-type": "text/html"}, b"<html>"),
        Reply(201, {}, b'{"id": "p1"'),
        Reply(204),
    ):
        fake_server.respond_with(a)
        with pytest.raises(APIResponseError) as caught:
            await scripted_client.predictions.create(version="v", input={})
        assert caught.value.may_have_been_created


async def test_too_large_create(make_client, fake_server):
    fake_server.respond_with(reply(prediction(), 201))
    with pytest.raises(APIResponseError) as caught:
        await make_client(base_url=fake_server.base_url, max_response_bytes=10).predictions.create(
            version="v", input={}
        )
    assert caught.value.may_have_been_created


@variants("location", ["data:text/plain,hello", "mailto:a@b", "javascript:alert(1)"])
async def test_odd_location(scripted_client, fake_server, location):
    output = await file_output(scripted_client, fake_server)
    fake_server.respond_with(Reply(302, {"location": location}))
    with pytest.raises(DashscopeError):
        await output.read()
    with pytest.raises(DashscopeError):
        await scripted_client.account.get()


async def test_broken_answer_names_the_method(make_client, fake_server):
    fake_server.respond_with(Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"))
    with pytest.raises(APIConnectionError, match="GET http"):
        await make_client(base_url=fake_server.base_url, max_retries=0).account.get()


async def test_signature_not_in_errors(make_client, fake_server):
    client = make_client(base_url=fake_server.base_url, max_retries=0)
    fake_server.respond_with(CUT_OFF)
    with pytest.raises(APIConnectionError) as caught:
        async with client.files.download("f1", **SIGNED) as d:
            await d.read()
    assert "signature" not in str(caught.value)


async def test_timeout_while_saving(make_client, fake_server, tmp_path):
    import socket
    import threading

    # announces more bytes than it sends, and then stays silent
    listener = socket.create_server(("127.0.0.1", 0))
    conns = []

    def serve():
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            conns.append(conn)
            conn.recv(65536)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")

    threading.Thread(target=serve, daemon=True).start()
    client = make_client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}/v1", timeout=0.4)
    try:
        with pytest.raises(APITimeoutError):
            async with client.files.download("f1", **SIGNED) as d:
                await d.save(tmp_path / "x")
    finally:
        for c in conns:
            c.close()
        listener.close()
    assert list(tmp_path.iterdir()) == []


async def test_second_read_is_not_silently_empty(scripted_client, fake_server, tmp_path):
    fake_server.respond_with(sends(CONTENT))
    async with scripted_client.files.download("f1", **SIGNED) as d:
        assert await d.read() == CONTENT
        try:
            saved = await d.save(tmp_path / "x")
        except Exception:
            return
        assert saved.read_bytes() == CONTENT


def test_data_uri_non_ascii():
    with pytest.raises(FileError):
        decode_data_uri("data:;base64,%C3%A9")


def test_progress_bracket_prefix():
    logs = "[train]  50%|█████     | 5/10 [00:01]\r[train]  60%|██████    | 6/1"
    assert Progress.parse(logs) == Progress(percentage=0.5, current=5, total=10)


# ---------- inputs
class Mode(str, Enum):  # noqa: UP042
    FAST = "fast"


async def test_str_enum(scripted_client, fake_server):
    fake_server.respond_with(reply(prediction("succeeded"), 201))
    await scripted_client.run("owner/name", {"mode": Mode.FAST})
    assert fake_server.requests[0].json == {"input": {"mode": "fast"}}


@variants("bad", [float("nan"), "\ud800"])
async def test_nothing_uploaded_before_nan(scripted_client, fake_server, bad):
    with pytest.raises(ValueError):
        await scripted_client.run("owner/name", {"a": b"x", "b": bad}, file_encoding="upload")
    assert fake_server.requests == []


async def test_nothing_uploaded_before_a_bad_name(scripted_client, fake_server):
    bad = io.BytesIO(b"y")
    bad.name = "n" * 256
    fake_server.respond_with(reply({"id": "f1", "urls": {"get": "https://x/f1"}}, 201))
    with pytest.raises((ValueError, FileError)):
        await scripted_client.run("owner/name", {"a": b"x", "b": bad}, file_encoding="upload")
    assert fake_server.requests == []


async def test_same_open_file_twice(scripted_client, fake_server):
    fake_server.respond_with(reply(prediction("succeeded"), 201))
    f = io.BytesIO(b"hello")
    await scripted_client.run("owner/name", {"a": f, "b": f})
    input = fake_server.requests[0].json["input"]
    assert input["a"] == input["b"]


async def test_async_file(scripted_client, fake_server):
    import warnings

    class UploadFile:
        filename = "x"

        async def read(self, size=-1):
            return b"hello"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((TypeError, FileError)) as caught:
            await scripted_client.run("owner/name", {"a": UploadFile()})
    assert "text mode" not in str(caught.value)


async def test_deep_input(scripted_client, fake_server):
    deep: Any = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError):
        await scripted_client.run("owner/name", {"a": deep})


async def test_files_create_timeout_beyond_clients(make_client, fake_server):
    fake_server.respond_with(attrs.evolve(reply({"id": "f1"}, 201), delay=0.4))
    client = make_client(base_url=fake_server.base_url, timeout=0.2)
    assert (await client.files.create(b"x", timeout=5)).id == "f1"


async def test_files_create_timeout_checked(scripted_client, fake_server):
    for t, e in ((0, ValueError), (-1, ValueError), ("1", TypeError)):
        with pytest.raises(e):
            await scripted_client.files.create(b"x", timeout=t)
    assert fake_server.requests == []


async def test_sync_download_longer_than_timeout(make_client, fake_server):
    fake_server.respond_with(sends(CONTENT * 40))
    client = make_client(base_url=fake_server.base_url, timeout=0.3)
    async with client.files.download("f1", **SIGNED) as d:
        got: list[bytes] = []
        async for piece in d.iter_bytes():
            if not got:
                time.sleep(0.5)
            got.append(piece)
    assert b"".join(got) == CONTENT * 40


# ---------- misc
def test_values_of_the_wire_hash():
    r = Response(status=200, headers=Headers({"a": "1"}), content=b"")
    assert hash(r) == hash(pickle.loads(pickle.dumps(r)))


def test_time_overflow():
    with pytest.raises(ValueError):
        parse_time("9999-12-31T23:59:60Z")


def test_unparsable_urls_have_no_common_origin():
    assert not urls.same_origin("https://[", "http://x:99999")


async def test_a_body_that_does_not_decompress(
    scripted_client: Any, fake_server: FakeServer
) -> None:
    fake_server.respond_with(Reply(200, {"content-encoding": "gzip"}, b"not gzip at all"))
    with pytest.raises(APIResponseError, match="cannot be decompressed"):
        await scripted_client.account.get()
    import gc

    gc.collect()
