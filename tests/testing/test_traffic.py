"""Traffic is recorded without private data, and replayed without a network."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dashscope import AsyncClient, Client
from dashscope.local import LocalServer
from dashscope.testing import UnexpectedRequestError, record, replay
from tests.servers.fake_server import FakeServer, Received, Reply, prediction, reply

TOKEN = "r8_a-token-that-nobody-may-see"
HELLO = "dashscope/hello-world"


@pytest.fixture(scope="module")
def guarded() -> Iterator[LocalServer]:
    """A server that requires a token."""
    with LocalServer(token=TOKEN) as server:
        yield server


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.effect_noise((400, 400), 90).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def recorded(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def use(client: Client, photo: Path) -> list[Any]:
    """Send requests of each kind."""
    output = client.run(HELLO, {"text": "Alice"})
    with client.stream("dashscope/countdown", {"start": 2, "delay": 0}) as stream:
        texts = [str(event) for event in stream]
    thumbnail = client.run(
        "dashscope/thumbnail", {"image": photo, "width": 8}, file_encoding="upload"
    )
    small = client.run(
        "dashscope/thumbnail", {"image": photo, "width": 9}, file_encoding="data-uri"
    )
    page = client.models.list()
    secret = client.webhooks.default.secret.get().key
    return [output, texts, thumbnail.read(), small.read(), len(page), bool(secret)]


async def use_async(client: AsyncClient, photo: Path) -> list[Any]:
    """Send the same requests with the sync client."""
    output = await client.run(HELLO, {"text": "Alice"})
    async with client.stream("dashscope/countdown", {"start": 2, "delay": 0}) as stream:
        texts = [str(event) async for event in stream]
    options: dict[str, Any] = {"file_encoding": "upload"}
    thumbnail = await client.run("dashscope/thumbnail", {"image": photo, "width": 8}, **options)
    options = {"file_encoding": "data-uri"}
    small = await client.run("dashscope/thumbnail", {"image": photo, "width": 9}, **options)
    page = await client.models.list()
    secret = (await client.webhooks.default.secret.get()).key
    return [output, texts, await thumbnail.read(), await small.read(), len(page), bool(secret)]


@pytest.mark.parametrize("flavor", ["async", "sync"])
def test_recorded_traffic_is_replayed(
    flavor: str, guarded: LocalServer, tmp_path: Path, photo: Path
) -> None:
    path = tmp_path / "deep" / "traffic.jsonl"

    def go(traffic: Any, **options: Any) -> list[Any]:
        if flavor == "sync":
            return use(traffic.client(**options), photo)
        return asyncio.run(use_async(traffic.async_client(**options), photo))

    with record(path) as traffic:
        first = go(traffic, api_token=TOKEN, base_url=guarded.base_url)
    before = len(guarded.requests)
    with replay(path) as again:
        assert go(again) == first
    assert len(guarded.requests) == before
    text = path.read_text()
    assert TOKEN not in text
    assert "whsec_" not in text
    assert (
        len(text) < 100_000
    )  # the contents of an upload and a data URI of 160 kB are not recorded
    assert recorded(path)[0] == {"dashscope_traffic": 1, "base_url": guarded.base_url}


def make(path: Path, server: LocalServer, *texts: str) -> None:
    with record(path) as traffic:
        client = traffic.client(TOKEN, base_url=server.base_url)
        for text in texts:
            client.run(HELLO, {"text": text}, poll_interval=0.05)


def test_an_unexpected_request_is_an_error(guarded: LocalServer, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    make(path, guarded, "Alice")
    text = 'POST .* is not in .*"Bob".* [(]but with .*"Alice".*[)].*record the traffic again'
    with pytest.raises(UnexpectedRequestError, match=text), replay(path) as traffic:
        traffic.client().run(HELLO, {"text": "Bob"})
    with pytest.raises(UnexpectedRequestError, match="again"), replay(path) as traffic:
        traffic.client().run(HELLO, {"text": "Alice"})
        traffic.client().run(HELLO, {"text": "Alice"})


def test_an_unexpected_request_is_reported_even_if_caught(
    guarded: LocalServer, tmp_path: Path
) -> None:
    path = tmp_path / "traffic.jsonl"
    make(path, guarded, "Alice")
    text = "not in .*: GET .*/account"
    with pytest.raises(UnexpectedRequestError, match=text), replay(path) as traffic:
        traffic.client().run(HELLO, {"text": "Alice"})
        with contextlib.suppress(Exception):
            traffic.client().account.get()


def test_an_unused_create_is_an_error(guarded: LocalServer, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    make(path, guarded, "Alice", "Bob")
    with pytest.raises(AssertionError, match="not sent: POST"), replay(path) as traffic:
        traffic.client().run(HELLO, {"text": "Alice"})


def test_reads_may_repeat_more_often_than_recorded(guarded: LocalServer, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    make(path, guarded, "Alice")
    with replay(path) as traffic:
        client = traffic.client()
        created = client.models.predictions.create(
            "dashscope", "hello-world", input={"text": "Alice"}
        )
        for _ in range(30):
            last = client.predictions.get(created)
        assert last.output == "hello Alice"


def test_private_data_can_be_removed(guarded: LocalServer, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"

    def scrub(value: Any) -> Any:
        return json.loads(json.dumps(value).replace("Alice", "somebody"))

    with record(path, scrub=scrub) as traffic:
        client = traffic.client(TOKEN, base_url=guarded.base_url)
        assert client.run(HELLO, {"text": "Alice"}) == "hello Alice"
    assert "Alice" not in path.read_text()
    with replay(path, scrub=scrub) as traffic:
        assert traffic.client().run(HELLO, {"text": "Alice"}) == "hello somebody"


SIGNED = "https://files.example/a.png?owner=me&X-Amz-Credential=c1&X-Amz-Signature=s1&expiry=9"


def test_url_signatures_are_not_recorded(fake_server: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    address = f"{fake_server.base_url}/files/f1/download"

    def says(request: Received) -> Reply:
        if request.method == "POST":
            text = f"![a]({SIGNED}) <img src='{SIGNED.replace('&', '&amp;')}'>"
            urls = [f"{address}?expiry=9&signature=s1#top", SIGNED, text]
            return reply(prediction("succeeded", output=urls, input=request.json["input"]), 201)
        return Reply(200, {"content-type": "image/png"}, b"png")

    fake_server.respond_with(says)

    def go(client: Client) -> list[Any]:
        output = client.run("owner/name", {"image": SIGNED})
        with client.files.download("f1", owner="me", expiry=9, signature="s1") as download:
            return [*output[1:], output[0].read(), download.read()]

    with record(path) as traffic:
        assert go(traffic.client(base_url=fake_server.base_url))[-2:] == [b"png", b"png"]
    text = path.read_text()
    assert "s1" not in text
    assert "c1" not in text
    assert "owner=me&X-Amz-Credential=scrubbed&X-Amz-Signature=scrubbed&expiry=9" in text
    with replay(path) as traffic:
        assert go(traffic.client())[-2:] == [b"png", b"png"]


def test_nothing_is_written_when_the_block_fails(guarded: LocalServer, tmp_path: Path) -> None:
    with pytest.raises(KeyError), record(tmp_path / "traffic.jsonl") as traffic:
        traffic.client(TOKEN, base_url=guarded.base_url).account.get()
        raise KeyError
    assert list(tmp_path.glob("traffic*")) == []


@pytest.mark.parametrize("text", ["", "{}", "nonsense", '{"dashscope_traffic": 2}', "[]\n[]"])
def test_an_invalid_recording_is_rejected(text: str, tmp_path: Path) -> None:
    path = tmp_path / "traffic.jsonl"
    with pytest.raises(FileNotFoundError, match="Record it"):
        replay(path)
    path.write_text(text)
    with pytest.raises(ValueError, match="is not recorded traffic"):
        replay(path)


def test_the_fixture_records_next_to_the_test(
    guarded: LocalServer, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        test_it="""
        def test_hello(dashscope_traffic):
            output = dashscope_traffic.client().run("dashscope/hello-world", {"text": "Alice"})
            assert output == "hello Alice"
        """
    )
    options = ["-p", "dashscope.testing"]
    missing = pytester.runpytest_inprocess(*options)
    missing.stdout.fnmatch_lines(["*Record it with pytest --dashscope-record*"])
    monkeypatch.setenv("DASHSCOPE_BASE_URL", guarded.base_url)
    monkeypatch.setenv("DASHSCOPE_API_TOKEN", TOKEN)
    pytester.runpytest_inprocess(*options, "--dashscope-record").assert_outcomes(passed=1)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.delenv("DASHSCOPE_API_TOKEN")
    assert (pytester.path / "traffic" / "test_it.test_hello.jsonl").exists()
    pytester.runpytest_inprocess(*options).assert_outcomes(passed=1)


def test_each_test_has_a_separate_file(
    guarded: LocalServer, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        test_it="""
        import pytest

        def ask(traffic, text):
            assert traffic.client().run("dashscope/hello-world", {"text": text}) == f"hello {text}"

        class TestOne:
            def test_hello(self, dashscope_traffic):
                ask(dashscope_traffic, "one")

        class TestTwo:
            def test_hello(self, dashscope_traffic):
                ask(dashscope_traffic, "two")

        @pytest.mark.parametrize("text", ["a/b", "a-b", "a b", "x" * 300])
        def test_texts(dashscope_traffic, text):
            ask(dashscope_traffic, text)
        """
    )
    monkeypatch.setenv("DASHSCOPE_BASE_URL", guarded.base_url)
    monkeypatch.setenv("DASHSCOPE_API_TOKEN", TOKEN)
    for options in (["--dashscope-record"], []):
        done = pytester.runpytest_inprocess("-p", "dashscope.testing", *options)
        done.assert_outcomes(passed=6)
    names = {path.name for path in (pytester.path / "traffic").iterdir()}
    assert len(names) == 6
    assert {"test_it.TestOne.test_hello.jsonl", "test_it.test_texts-a-b.jsonl"} <= names
