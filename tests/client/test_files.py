"""Files in inputs and outputs, against a local server."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from dashscope import APIStatusError, FileError, NotFoundError
from dashscope.local import LocalServer
from tests import flavors
from tests.variants import variants

SMALL = b"a small file"
LARGE = bytes(range(256)) * 1200
"""Too large to be sent inline."""


flavor = flavors.fixture("trio", "sync")  # the other tests of the folder run on asyncio


def measured(content: bytes, suffix: str) -> dict[str, Any]:
    """Return the expected output of `test/measure` for a file."""
    return {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "suffix": suffix,
    }


def uploads(server: LocalServer) -> int:
    """Return the number of uploaded files."""
    return sum(request[:2] == ("POST", "/v1/files") for request in server.requests)


async def test_a_thumbnail_of_a_photo(client: Any, tmp_path: Path) -> None:
    Image.effect_noise((300, 200), 80).save(tmp_path / "photo.png")
    output = await client.run("dashscope/thumbnail", {"image": tmp_path / "photo.png", "width": 60})
    saved = await output.save(tmp_path / "small.png")
    with Image.open(saved) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (60, 40))


@variants("content", [SMALL, LARGE], ids=["small", "large"])
async def test_each_kind_of_file_input_is_sent_completely(
    client: Any, server: LocalServer, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "data.bin"
    path.write_bytes(content)
    before = uploads(server)
    with path.open("rb") as file:
        for document in (path, content, bytearray(content), io.BytesIO(content), file):
            output = await client.run("test/measure", {"document": document})
            assert (output["size"], output["sha256"]) == (
                len(content),
                hashlib.sha256(content).hexdigest(),
            )
    assert uploads(server) - before == (5 if content is LARGE else 0)


async def test_file_encoding_sets_how_files_are_sent(client: Any, server: LocalServer) -> None:
    before = uploads(server)
    for encoding, content in (("data-uri", LARGE), ("upload", SMALL)):
        output = await client.run("test/measure", {"document": content}, file_encoding=encoding)
        assert output["size"] == len(content)
    assert uploads(server) - before == 1


async def test_an_uploaded_file_keeps_its_suffix(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "données.tar.gz"
    path.write_bytes(LARGE)
    assert await client.run("test/measure", {"document": path}) == measured(LARGE, ".gz")


async def test_a_missing_file_raises_before_a_request(
    client: Any, server: LocalServer, tmp_path: Path
) -> None:
    before = len(server.requests)
    with pytest.raises(FileError, match="missing.png"):
        await client.run("test/measure", {"document": tmp_path / "missing.png"})
    with pytest.raises(FileError, match="directory"):
        await client.run("test/measure", {"document": tmp_path})
    assert server.requests[before:] == []


async def test_a_file_output_is_its_url_and_can_be_read_and_saved(
    client: Any, tmp_path: Path
) -> None:
    output = await client.run("test/file", {"content": "hello", "name": "greeting.txt"})
    assert json.loads(json.dumps({"file": output})) == {"file": str(output)}
    assert await output.read() == b"hello"
    assert b"".join([chunk async for chunk in output.iter_bytes()]) == b"hello"
    (tmp_path / "out").mkdir()
    saved = await output.save(tmp_path / "out")
    assert saved == tmp_path / "out/greeting.txt"
    with pytest.raises(FileError, match="already exists"):
        await output.save(saved)
    saved.write_bytes(b"old")
    await output.save(saved, overwrite=True)
    assert saved.read_bytes() == b"hello"
    assert list((tmp_path / "out").iterdir()) == [saved]


async def test_a_compressed_output_has_the_type_of_its_bytes(client: Any) -> None:
    output = await client.run("test/file", {"name": "table.csv.gz"})
    assert await output.read() == b"content"
    assert getattr(output, "file", output).content_type == "application/gzip"


async def test_a_file_output_pickles_as_its_url(client: Any) -> None:
    output = await client.run("test/file", {})
    real = getattr(output, "file", output)
    copied = pickle.loads(pickle.dumps(real))
    assert (type(copied), copied) == (str, str(output))


async def test_a_file_output_can_be_an_input(client: Any) -> None:
    output = await client.run("test/file", {"content": "hello"})
    real = getattr(output, "file", output)
    assert (await client.run("test/measure", {"document": real}))["size"] == 5


async def test_nested_urls_are_file_outputs(client: Any) -> None:
    output = await client.run("test/album", {"title": "ours"})
    assert output["title"] == "ours"
    assert await output["cover"].read() == b"the cover"
    assert await output["pages"][0]["scan"].read() == b"the scan"
    assert output["pages"][0]["number"] == 1
    both = await client.run("test/pictures", {"count": 2})
    assert [await picture.read() for picture in both] == [b"picture 1", b"picture 2"]


async def test_a_large_output_is_read_in_chunks(client: Any, tmp_path: Path) -> None:
    output = await client.run("test/file", {"content": "0123456789", "times": 200_000})
    sizes = [len(chunk) async for chunk in output.iter_bytes()]
    assert sum(sizes) == 2_000_000
    assert max(sizes) < 1_000_000
    saved = await output.save(tmp_path / "big.txt")
    assert saved.stat().st_size == 2_000_000


async def test_breaking_out_of_a_large_output_closes_the_connection(client: Any) -> None:
    output = await client.run("test/file", {"content": "0123456789", "times": 500_000})
    chunks = output.iter_bytes()
    async for chunk in chunks:
        assert chunk
        break
    await chunks.aclose()
    assert await client.run("test/echo", {"value": 1}) == 1


async def test_use_file_output_false_returns_plain_urls(client: Any) -> None:
    output = await client.run("test/file", {}, use_file_output=False)
    assert type(output) is str


async def test_files_can_be_created_listed_read_and_deleted(client: Any, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(LARGE)
    made = await client.files.create(path, metadata={"customer": 7, "deep": {"a": [1]}})
    assert (made.name, made.size, made.content_type) == ("notes.txt", len(LARGE), "text/plain")
    assert made.metadata == {"customer": 7, "deep": {"a": [1]}}
    assert made.checksums.sha256 == hashlib.sha256(LARGE).hexdigest()
    assert made.created_at < made.expires_at
    assert await client.files.get(made) == made
    assert await client.files.get(made.id) == made
    assert made in list(await client.files.list())
    output = await client.run("test/measure", {"document": made.urls.get})
    assert output == measured(LARGE, ".txt")
    await client.files.delete(made)
    with pytest.raises(NotFoundError):
        await client.files.get(made)
    assert made.id not in [file.id async for file in client.iterate(client.files.list)]


async def test_a_file_keeps_the_given_name(client: Any) -> None:
    made = await client.files.create(SMALL, filename="a b.json", content_type="text/weird")
    assert (made.name, made.content_type) == ("a b.json", "text/weird")


async def test_a_signed_download_is_a_stream(client: Any, tmp_path: Path) -> None:
    made = await client.files.create(LARGE, filename="data.bin")
    signed = signature(made.raw["urls"]["download"])
    async with client.files.download(made, **signed) as download:
        assert download.size == len(LARGE)
        assert b"".join([chunk async for chunk in download.iter_bytes()]) == LARGE
    async with client.files.download(made.id, **signed) as download:
        assert await download.read() == LARGE
    async with client.files.download(made, **signed) as download:
        saved = await download.save(tmp_path)
    assert saved == tmp_path / "data.bin"
    assert saved.read_bytes() == LARGE


@pytest.mark.parametrize(
    "changed",
    [{"signature": "AAAA"}, {"owner": "somebody"}, {"expiry": int(time.time()) + 10_000_000}],
    ids=["signature", "owner", "expiry"],
)
async def test_a_wrong_signature_is_rejected(
    client: Any, tmp_path: Path, changed: dict[str, Any]
) -> None:
    made = await client.files.create(SMALL)
    signed = {**signature(made.raw["urls"]["download"]), **changed}
    with pytest.raises(APIStatusError):
        async with client.files.download(made, **signed) as download:
            await download.save(tmp_path / "never.bin")
    assert list(tmp_path.iterdir()) == []


def signature(url: str) -> dict[str, Any]:
    """Return the parameters of a signed URL as arguments of `files.download`."""
    query = parse_qs(urlsplit(url).query)
    return {
        "owner": query["owner"][0],
        "expiry": int(query["expiry"][0]),
        "signature": query["signature"][0],
    }
