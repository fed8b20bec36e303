"""Files: the requests of uploads, and reading and saving downloads."""

from __future__ import annotations

import gc
import io
import itertools
import json
import os
from contextlib import aclosing
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest

from dashscope import (
    APIConnectionError,
    APIResponseError,
    File,
    FileError,
    NotFoundError,
    UnprocessableEntityError,
)
from tests.resources.contract import FILE
from tests.servers.fake_server import DROP, FakeServer, Received, Reply, prediction, reply
from tests.variants import variants

SIGNED: dict[str, Any] = {"owner": "acme", "expiry": 1708515345, "signature": "zuo/h+l="}
CONTENT = b"\x89PNG" + bytes(range(256)) * 1000


def parts(received: Received) -> dict[str, Any]:
    """Return the parts of a form by name, parsed by an independent parser."""
    head = f"Content-Type: {received.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + received.body)
    found = {}
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        assert name not in found
        found[name] = part
    return found


def content(part: Any) -> bytes:
    made: bytes = part.get_payload(decode=True)
    return made


class TestUploading:
    async def test_a_file_is_sent_with_its_name_type_and_metadata(
        self, with_token: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        fake_server.respond_with(reply(FILE, 201))
        path = tmp_path / "photo.png"
        path.write_bytes(b"\x89PNG\r\n--boundary\r\n")
        metadata = {"customer": {"id": 123}, "ü": [None]}
        file = await with_token.files.create(path, metadata=metadata)
        assert type(file) is File
        assert file.raw == FILE
        (received,) = fake_server.requests
        assert (received.method, received.path) == ("POST", "/v1/files")
        assert received.headers["Authorization"] == "Bearer r8_token"
        sent = parts(received)
        assert set(sent) == {"content", "filename", "type", "metadata"}
        assert content(sent["content"]) == path.read_bytes()
        assert sent["content"].get_filename() == "photo.png"
        assert sent["content"].get_content_type() == "image/png"
        assert content(sent["filename"]) == b"photo.png"
        assert content(sent["type"]) == b"image/png"
        assert json.loads(content(sent["metadata"])) == metadata

    async def test_the_caller_can_set_the_name_and_the_type(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"id": "f1"}, 201))
        await scripted_client.files.create(
            b"hello", filename="grüße.txt", content_type="text/x-own"
        )
        sent = parts(fake_server.requests[0])
        assert "metadata" not in sent
        assert content(sent["filename"]).decode() == "grüße.txt"
        assert content(sent["type"]) == b"text/x-own"
        assert sent["content"].get_content_type() == "text/x-own"

    async def test_a_name_with_quotes_is_escaped(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"id": "f1"}, 201))
        name = 'a";name="type.txt'
        await scripted_client.files.create(b"hello", filename=name)
        sent = parts(fake_server.requests[0])
        assert set(sent) == {"content", "filename", "type"}
        assert content(sent["filename"]).decode() == name
        assert content(sent["content"]) == b"hello"

    @variants(
        "make",
        [
            lambda: b"hello",
            lambda: bytearray(b"hello"),
            lambda: memoryview(b"hello"),
            lambda: io.BytesIO(b"hello"),
        ],
    )
    async def test_accepts_bytes_and_open_files(
        self, scripted_client: Any, fake_server: FakeServer, make: Any
    ) -> None:
        fake_server.respond_with(reply({"id": "f1"}, 201))
        await scripted_client.files.create(make())
        sent = parts(fake_server.requests[0])
        assert content(sent["content"]) == b"hello"
        assert content(sent["filename"]) == b"file"
        assert content(sent["type"]) == b"application/octet-stream"

    async def test_accepts_an_empty_file(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"id": "f1"}, 201))
        await scripted_client.files.create(b"", filename="empty.txt")
        assert content(parts(fake_server.requests[0])["content"]) == b""

    async def test_a_retried_upload_sends_the_whole_file(
        self, scripted_client: Any, fake_server: FakeServer, no_jitter: None, tmp_path: Path
    ) -> None:
        fake_server.respond_with([reply({}, 503), DROP, reply({"id": "f1"}, 201)])
        path = tmp_path / "photo.png"
        path.write_bytes(CONTENT)
        assert (await scripted_client.files.create(path)).id == "f1"
        assert [content(parts(r)["content"]) for r in fake_server.requests] == [CONTENT] * 3

    async def test_an_unreadable_file_is_not_sent(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        for bad in (tmp_path / "missing.png", tmp_path, io.StringIO("text")):
            with pytest.raises(FileError):
                await scripted_client.files.create(bad)
        assert fake_server.requests == []

    async def test_the_copy_of_an_unseekable_file_is_removed(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        class Pipe(io.BytesIO):
            def seekable(self) -> bool:
                return False

        fake_server.respond_with(reply({"id": "f1"}, 201))
        await scripted_client.files.create(Pipe(CONTENT * 2))
        gc.collect()  # an unclosed file would warn
        assert content(parts(fake_server.requests[0])["content"]) == CONTENT * 2

    async def test_progress_restarts_with_each_attempt(
        self, scripted_client: Any, fake_server: FakeServer, no_jitter: None
    ) -> None:
        fake_server.respond_with([reply({}, 503), reply({"id": "f1"}, 201)])
        seen: list[int] = []
        await scripted_client.files.create(bytes(600_000), progress=seen.append)
        assert seen == [0, 262_144, 524_288, 600_000] * 2
        seen.clear()
        await scripted_client.files.create(b"", progress=seen.append)
        assert set(seen) == {0}

    @variants("error", [OSError, ConnectionResetError, TimeoutError, ValueError])
    async def test_an_exception_in_progress_ends_the_upload(
        self, scripted_client: Any, fake_server: FakeServer, error: type[Exception]
    ) -> None:
        def progress(sent: int) -> None:
            if sent > 0:
                raise error("no more")

        fake_server.respond_with(reply({"id": "f1"}, 201))
        with pytest.raises(error, match="no more") as caught:
            await scripted_client.files.create(CONTENT * 10, progress=progress)
        assert type(caught.value) is error
        assert all(len(received.body) < len(CONTENT) * 10 for received in fake_server.requests)
        assert (await scripted_client.files.create(b"x")).id == "f1"

    async def test_an_open_file_can_be_sent_twice(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"id": "f1"}, 201))
        opened = io.BytesIO(CONTENT)
        for _ in range(2):
            await scripted_client.files.create(opened)
        assert [content(parts(r)["content"]) for r in fake_server.requests] == [CONTENT] * 2

    @variants(
        ("metadata", "error"), [({"a": object()}, TypeError), ({"a": float("nan")}, ValueError)]
    )
    async def test_metadata_must_be_json(
        self, scripted_client: Any, fake_server: FakeServer, metadata: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error, match="JSON"):
            await scripted_client.files.create(b"x", metadata=metadata)
        assert fake_server.requests == []


class TestInputs:
    async def test_a_large_file_is_uploaded_and_its_url_is_the_input(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        path = tmp_path / "photo.png"
        path.write_bytes(bytes(300 * 1024))
        fake_server.respond_with([reply(FILE, 201), reply(prediction(), 201)])
        await scripted_client.predictions.create(
            version="v1", input={"deep": [{"image": path}], "n": 1}
        )
        assert fake_server.request_lines == ["POST /v1/files", "POST /v1/predictions"]
        assert content(parts(fake_server.requests[0])["content"]) == path.read_bytes()
        url = FILE["urls"]["get"]
        assert fake_server.requests[1].json["input"] == {"deep": [{"image": url}], "n": 1}

    async def test_a_small_file_is_sent_inline(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply(prediction(), 201))
        await scripted_client.models.predictions.create("a", "b", input={"image": b"hello"})
        assert fake_server.requests[0].json["input"] == {
            "image": "data:application/octet-stream;base64,aGVsbG8="
        }

    async def test_a_training_accepts_files(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with([reply(FILE, 201), reply({"id": "t1", "status": "starting"}, 201)])
        await scripted_client.trainings.create(
            "a", "b", "v", destination="a/c", input={"text": bytes(300 * 1024)}
        )
        assert fake_server.requests[1].json["input"] == {"text": FILE["urls"]["get"]}

    async def test_one_missing_file_prevents_all_requests(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        input = {"a": bytes(300 * 1024), "b": tmp_path / "missing.png"}
        with pytest.raises(FileError, match=r"missing\.png"):
            await scripted_client.run("owner/name", input, file_encoding="upload")
        assert fake_server.requests == []

    async def test_a_failed_upload_creates_no_prediction(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"detail": "no room"}, 422))
        with pytest.raises(UnprocessableEntityError, match="no room"):
            await scripted_client.run("owner/name", {"a": b"x"}, file_encoding="upload")
        assert fake_server.request_lines == ["POST /v1/files"]

    @variants("body", [{"id": "f1"}, {"id": "f1", "urls": {}}, {"urls": {"get": ""}}])
    async def test_an_upload_without_a_url_is_an_error(
        self, scripted_client: Any, fake_server: FakeServer, body: Any
    ) -> None:
        fake_server.respond_with(reply(body, 201))
        with pytest.raises(APIResponseError, match=r"urls\.get|id"):
            await scripted_client.run("owner/name", {"a": b"x"}, file_encoding="upload")
        assert fake_server.request_lines == ["POST /v1/files"]


def sends(body: bytes, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(200, {"content-type": "image/png", **named}, body)


CUT_OFF = Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(200_000))
"""A response whose connection breaks in the middle."""


class TestDownload:
    async def test_the_signed_url_is_requested_unchanged(
        self, with_token: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(sends(CONTENT))
        async with with_token.files.download("f/1", **SIGNED) as download:
            assert await download.read() == CONTENT
            assert download.content_type == "image/png"
            assert download.size == len(CONTENT)
            assert download.headers["CONTENT-TYPE"] == "image/png"
            assert download.url.startswith(fake_server.base_url + "/files/f%2F1/download?")
        (received,) = fake_server.requests
        assert (received.method, received.path) == (
            "GET",
            "/v1/files/f%2F1/download?owner=acme&expiry=1708515345&signature=zuo%2Fh%2Bl%3D",
        )
        assert received.headers["Authorization"] == "Bearer r8_token"

    async def test_accepts_a_file_object(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        fake_server.respond_with(sends(CONTENT))
        file = File(id="f1", name="photo.png")
        async with scripted_client.files.download(file, **SIGNED) as download:
            assert await download.save(tmp_path) == tmp_path / "photo.png"
        assert fake_server.requests[0].path.startswith("/v1/files/f1/download?")

    async def test_is_read_in_chunks(self, scripted_client: Any, fake_server: FakeServer) -> None:
        fake_server.respond_with(sends(CONTENT * 10))
        async with scripted_client.files.download("f1", **SIGNED) as download:
            pieces = [piece async for piece in download.iter_bytes()]
        assert len(pieces) > 1
        assert b"".join(pieces) == CONTENT * 10

    async def test_is_not_requested_before_its_block(
        self, scripted_client: Any, flavor: str, fake_server: FakeServer
    ) -> None:
        how = "with" if flavor == "sync" else "async with"
        download = scripted_client.files.download("f1", **SIGNED)
        with pytest.raises(RuntimeError, match=f"entered first: {how}"):
            await download.read()
        with pytest.raises(RuntimeError, match=f"entered first: {how}"):
            _ = download.size
        assert fake_server.requests == []

    async def test_cannot_be_read_after_its_block(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        # With an ETag, the client would request the rest on another connection.
        fake_server.respond_with(
            lambda r: ranged(r) if "Range" in r.headers else sends(CONTENT, etag='"e1"')
        )
        async with scripted_client.files.download("f1", **SIGNED) as download:
            pass
        assert download.size == len(CONTENT)
        with pytest.raises(RuntimeError, match="inside its block"):
            await download.read()
        with pytest.raises(RuntimeError, match="inside its block"):
            await download.save(tmp_path / "a.png")
        with pytest.raises(RuntimeError, match="used only once"):
            async with download:
                pass
        assert len(fake_server.requests) == 1
        assert list(tmp_path.iterdir()) == []

    async def test_cannot_be_read_after_a_partial_iteration(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        fake_server.respond_with(sends(CONTENT * 10))
        async with scripted_client.files.download("f1", **SIGNED) as download:
            async with aclosing(download.iter_bytes()) as pieces:
                begun = await anext(aiter(pieces))
            with pytest.raises(RuntimeError, match="part of this download"):
                await download.save(tmp_path / "a.png")
            with pytest.raises(RuntimeError, match="part of this download"):
                await download.read()
            rest = [piece async for piece in download.iter_bytes()]
        assert b"".join([begun, *rest]) == CONTENT * 10
        assert list(tmp_path.iterdir()) == []

    async def test_may_be_left_unread(self, scripted_client: Any, fake_server: FakeServer) -> None:
        fake_server.respond_with(sends(CONTENT))
        for _ in range(3):
            async with scripted_client.files.download("f1", **SIGNED) as download:
                assert download.size == len(CONTENT)
        assert len(fake_server.requests) == 3

    async def test_a_missing_file_raises_with_the_detail(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        fake_server.respond_with(reply({"detail": "File not found"}, 404, x_request_id="r1"))
        with pytest.raises(NotFoundError, match="File not found") as caught:
            async with scripted_client.files.download("f1", **SIGNED):
                pass
        assert caught.value.detail == "File not found"
        assert caught.value.request_id == "r1"
        assert SIGNED["signature"] not in str(caught.value)

    async def test_read_stops_at_the_limit(
        self, make_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        fake_server.respond_with(sends(CONTENT))
        client = make_client(base_url=fake_server.base_url, max_response_bytes=1000)
        async with client.files.download("f1", **SIGNED) as download:
            with pytest.raises(APIResponseError, match=r"1000 bytes \(max_response_bytes\)"):
                await download.read()
        # Saving needs no memory and has no limit.
        async with client.files.download("f1", **SIGNED) as download:
            saved = await download.save(tmp_path / "photo.png")
        assert saved.read_bytes() == CONTENT


async def file_output(client: Any, fake_server: FakeServer, path: str = "/out/photo.png") -> Any:
    """Return the output of `run()` for a model that outputs a URL of this server."""
    url = fake_server.base_url.replace("/v1", path)
    before = list(fake_server.requests)
    fake_server.respond_with(reply(prediction("succeeded", output=url), 201))
    output = await client.run("owner/name", {})
    fake_server.requests[:] = before
    assert output == url
    return output


class TestFileOutputs:
    async def test_can_be_read(self, with_token: Any, fake_server: FakeServer) -> None:
        output = await file_output(with_token, fake_server)
        fake_server.respond_with(sends(CONTENT))
        assert await output.read() == CONTENT
        assert b"".join([piece async for piece in output.iter_bytes()]) == CONTENT
        assert fake_server.request_lines == ["GET /out/photo.png"] * 2

    async def test_use_file_output_false_leaves_strings(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        url = "https://example.com/a.png"
        fake_server.respond_with(reply(prediction("succeeded", output=[url]), 201))
        output = await scripted_client.run("owner/name", {}, use_file_output=False)
        assert type(output[0]) is str

    async def test_use_file_output_can_be_set_on_the_client(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        url = "https://example.com/a.png"
        fake_server.respond_with(reply(prediction("succeeded", output=url), 201))
        client = make_client(base_url=fake_server.base_url, use_file_output=False)
        assert type(await client.run("owner/name", {})) is str
        assert type(await client.run("owner/name", {}, use_file_output=True)) is not str

    async def test_can_be_saved_under_a_name(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(CONTENT))
        for target in (tmp_path / "a.png", str(tmp_path / "new" / "folders" / "b.png")):
            saved = await output.save(target)
            assert saved == Path(target)
            assert isinstance(saved, Path)
            assert saved.read_bytes() == CONTENT

    @variants(
        ("path", "disposition", "name"),
        [
            ("/out/photo.png", None, "photo.png"),
            ("/out/photo.png?x=/y.gif#z", None, "photo.png"),
            ("/out/gr%C3%BC%C3%9Fe.png", None, "grüße.png"),
            ("/out/a%20b.png", None, "a b.png"),
            ("/out/x", 'attachment; filename="photo.png"', "photo.png"),
            ("/out/photo.png", "attachment", "photo.png"),
            ("/out/x", "attachment; filename*=UTF-8''gr%C3%BC%C3%9Fe.png", "grüße.png"),
            # The name from a server is never a path.
            ("/out/..%2F..%2Fevil.png", None, None),
            ("/out/%2Fetc%2Fevil.png", None, None),
            ("/out/a%5C..%5Cevil.png", None, None),
            ("/out/x", 'attachment; filename="../../evil.png"', None),
            ("/out/x", 'attachment; filename="/etc/evil.png"', None),
            ("/out/x", 'attachment; filename=".."', "output.png"),
            ("/out/x%00.png", None, "x_.png"),
            ("/out/..", None, "output.png"),
            ("/", None, "output.png"),
            ("", None, "output.png"),
            ("/out/" + "n" * 300, None, "n" * 200),
        ],
    )
    async def test_saves_into_a_folder_under_the_name_of_the_server(
        self,
        make_client: Any,
        fake_server: FakeServer,
        tmp_path: Path,
        path: str,
        disposition: str | None,
        name: str | None,
    ) -> None:
        output = await file_output(make_client(base_url=fake_server.base_url), fake_server, path)
        fake_server.respond_with(
            sends(b"x") if disposition is None else sends(b"x", content_disposition=disposition)
        )
        folder = tmp_path / "in" / "here"
        folder.mkdir(parents=True, exist_ok=True)
        saved = await output.save(folder)
        assert saved.resolve().parent == folder.resolve()
        assert [p for p in tmp_path.rglob("*") if p.is_file()] == [saved]
        saved.unlink()
        if name is not None:
            assert saved.name == name

    async def test_save_expands_a_tilde(
        self,
        scripted_client: Any,
        fake_server: FakeServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        home, here = tmp_path / "home", tmp_path / "here"
        home.mkdir()
        here.mkdir()
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.setenv("USERPROFILE", str(home))
        monkeypatch.chdir(here)
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(CONTENT))
        assert await output.save("~/a.png") == home / "a.png"
        assert await output.save(Path("~") / "b.png") == home / "b.png"
        assert await output.save("~") == home / "photo.png"
        assert list(here.iterdir()) == []
        assert await output.save("a.png") == Path("a.png")
        assert await output.save("./~/") == Path("~/photo.png")
        assert sorted(path.name for path in here.iterdir()) == ["a.png", "~"]

    @variants("path", [5, None, b"a.png", object()])
    async def test_an_invalid_path_is_rejected_before_a_request(
        self, scripted_client: Any, fake_server: FakeServer, path: Any
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        with pytest.raises(TypeError, match=r"path must be a str or a pathlib\.Path, not"):
            await output.save(path)
        with pytest.raises(TypeError, match="overwrite must be True or False"):
            await output.save("a.png", overwrite="no")
        assert fake_server.requests == []

    @variants(
        ("name", "overwrite"),
        itertools.product(["a\0b", "n" * 300, "n" * 300 + "/a.png"], [False, True]),
    )
    async def test_an_impossible_path_is_a_file_error(
        self,
        scripted_client: Any,
        fake_server: FakeServer,
        tmp_path: Path,
        name: str,
        overwrite: bool,
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(CONTENT))
        with pytest.raises(FileError, match="cannot be written"):
            await output.save(tmp_path / name, overwrite=overwrite)
        assert list(tmp_path.iterdir()) == []

    async def test_an_empty_file_is_saved(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(b""))
        assert await output.read() == b""
        assert [piece async for piece in output.iter_bytes()] == []
        assert (await output.save(tmp_path)).read_bytes() == b""

    async def test_a_path_with_a_trailing_slash_is_a_folder(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(CONTENT))
        saved = await output.save(f"{tmp_path}/new/")
        assert saved == tmp_path / "new" / "photo.png"
        assert saved.read_bytes() == CONTENT

    async def test_an_existing_file_is_kept(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(CONTENT))
        target = tmp_path / "photo.png"
        target.write_bytes(b"mine")
        for path in (target, tmp_path):
            with pytest.raises(FileError, match="overwrite=True"):
                await output.save(path)
        assert target.read_bytes() == b"mine"
        assert list(tmp_path.iterdir()) == [target]
        assert await output.save(target, overwrite=True) == target
        assert target.read_bytes() == CONTENT
        assert list(tmp_path.iterdir()) == [target]

    async def test_a_file_created_during_the_download_is_kept(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        target = tmp_path / "photo.png"

        def script(_: Received) -> Reply:
            return sends(CONTENT)

        fake_server.respond_with(script)
        exists = Path.exists

        def absent_at_first(path: Path) -> bool:
            found = exists(path)
            if path == target and not found:
                path.write_bytes(b"theirs")
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "exists", absent_at_first)
            with pytest.raises(FileError, match="already exists"):
                await output.save(target)
        assert target.read_bytes() == b"theirs"
        assert list(tmp_path.iterdir()) == [target]

    async def test_a_broken_connection_leaves_no_partial_file(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(CUT_OFF)
        mine = tmp_path / "mine.png"
        mine.write_bytes(b"mine")
        with pytest.raises(APIConnectionError, match="broke"):
            await output.save(tmp_path / "photo.png")
        with pytest.raises(APIConnectionError, match="broke"):
            await output.save(mine, overwrite=True)
        assert list(tmp_path.iterdir()) == [mine]
        assert mine.read_bytes() == b"mine"
        with pytest.raises(APIConnectionError, match="broke"):
            await output.read()
        with pytest.raises(APIConnectionError, match="broke"):
            async for _ in output.iter_bytes():
                pass

    async def test_the_file_appears_when_it_is_complete(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(CONTENT))
        seen: list[list[str]] = []
        replace, link = os.replace, os.link

        def watched(move: Any) -> Any:
            def publish(source: Any, target: Any) -> None:
                seen.append([p.name for p in tmp_path.iterdir() if p.name == "photo.png"])
                assert Path(source).read_bytes() == CONTENT
                assert Path(source).parent == tmp_path
                move(source, target)

            return publish

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "replace", watched(replace))
            patch.setattr(os, "link", watched(link))
            await output.save(tmp_path)
        assert seen == [[]]
        assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]

    async def test_works_on_file_systems_without_links(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(CONTENT))

        def link(*_: Any) -> None:
            raise OSError(95, "Operation not supported")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "link", link)
            saved = await output.save(tmp_path)
        assert saved.read_bytes() == CONTENT
        assert list(tmp_path.iterdir()) == [saved]

    async def test_an_unwritable_folder_is_a_file_error(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(CONTENT))
        blocker = tmp_path / "file"
        blocker.write_bytes(b"")
        with pytest.raises(FileError, match="cannot be written"):
            await output.save(blocker / "photo.png")
        assert list(tmp_path.iterdir()) == [blocker]

    async def test_an_interrupted_iteration_closes_the_connection(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(sends(CONTENT * 20))
        async with aclosing(output.iter_bytes()) as pieces:
            async for piece in pieces:
                assert piece
                break
        assert await output.read() == CONTENT * 20


def ranged(
    received: Received,
    *,
    start: int | None = None,
    status: int = 206,
    total: int | str = len(CONTENT),
    most: int = len(CONTENT),
    **headers: str,
) -> Reply:
    """Respond with the requested range of CONTENT, or with at most `most` bytes of it."""
    begin = int(received.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    text, piece = begin if start is None else start, CONTENT[begin : begin + most]
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    span = f"bytes {text}-{begin + len(piece) - 1}/{total}"
    return Reply(status, {"content-range": span, "etag": '"e1"', **named}, piece)


def cut(at: int, etag: str = '"e1"') -> Reply:
    """Respond with the headers of CONTENT, but only its start."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(CONTENT)}\r\nETag: {etag}\r\n\r\n"
    return Reply(raw=head.encode() + CONTENT[:at])


class TestDownloadResume:
    """With a strong ETag, a broken download resumes where it stopped."""

    @pytest.fixture(autouse=True)
    def _at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dashscope._common.random.chance", lambda: 0.0)

    async def test_the_missing_range_is_requested(
        self, with_token: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        output = await file_output(with_token, fake_server)
        fake_server.respond_with(lambda r: ranged(r) if "Range" in r.headers else cut(100_000))
        saved = await output.save(tmp_path)
        assert saved.read_bytes() == CONTENT
        again = fake_server.requests[1]
        assert again.headers["If-Range"] == '"e1"'
        assert 0 < int(again.headers["Range"].removeprefix("bytes=").removesuffix("-")) <= 100_000
        assert again.headers["Authorization"] == "Bearer r8_token"
        assert len(fake_server.requests) == 2
        fake_server.respond_with(lambda r: ranged(r) if "Range" in r.headers else cut(100_000))
        assert await output.read() == CONTENT

    async def test_the_server_may_send_several_ranges(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(
            lambda r: ranged(r, total="*", most=100_000) if "Range" in r.headers else cut(5000)
        )
        assert await output.read() == CONTENT
        assert len(fake_server.requests) == 4

    async def test_the_range_response_tells_an_unknown_length(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: "e1"\r\n\r\n'
        begun = Reply(raw=head + b"1388\r\n" + CONTENT[:5000] + b"\r\n")
        fake_server.respond_with(
            lambda r: ranged(r, most=100_000) if "Range" in r.headers else begun
        )
        assert await output.read() == CONTENT
        assert len(fake_server.requests) == 4

    async def test_a_short_range_is_an_error(
        self, make_client: Any, fake_server: FakeServer, tmp_path: Path
    ) -> None:
        client = make_client(base_url=fake_server.base_url, max_retries=2)
        output = await file_output(client, fake_server)
        fake_server.respond_with(lambda r: ranged(r, most=0) if "Range" in r.headers else cut(5000))
        with pytest.raises(APIConnectionError, match="broke"):
            await output.save(tmp_path)
        assert list(tmp_path.iterdir()) == []
        assert len(fake_server.requests) == 3

    async def test_a_transient_error_is_retried(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        responses = [cut(5000), DROP, reply({}, 503), None]

        def script(received: Received) -> Reply:
            return responses.pop(0) or ranged(received)

        fake_server.respond_with(script)
        assert await output.read() == CONTENT
        assert len(fake_server.requests) == 4

    @variants("etag", ['W/"e1"', "", "e1"])
    async def test_without_a_strong_etag_it_is_an_error(
        self, scripted_client: Any, fake_server: FakeServer, etag: str
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(cut(5000, etag))
        with pytest.raises(APIConnectionError, match="broke"):
            await output.read()
        assert len(fake_server.requests) == 1

    @variants(
        "response",
        [
            lambda r: sends(CONTENT, etag='"e2"'),  # the file has changed
            lambda r: ranged(r, start=0),  # another range than requested
            lambda r: ranged(r, status=200),
            lambda r: ranged(r, etag='"e2"'),  # a server that ignores If-Range
            lambda r: ranged(r, total=len(CONTENT) + 1),
            lambda r: ranged(r, content_encoding="gzip"),
            lambda r: reply({}, 404),
            lambda r: reply({}, 416),
        ],
        ids=[
            "changed",
            "another piece",
            "whole",
            "another file",
            "longer",
            "packed",
            "gone",
            "refused",
        ],
    )
    async def test_a_response_with_another_range_is_an_error(
        self, scripted_client: Any, fake_server: FakeServer, tmp_path: Path, response: Any
    ) -> None:
        output = await file_output(scripted_client, fake_server)
        fake_server.respond_with(lambda r: response(r) if "Range" in r.headers else cut(5000))
        with pytest.raises(APIConnectionError, match="broke"):
            await output.save(tmp_path)
        assert len(fake_server.requests) == 2
        assert list(tmp_path.iterdir()) == []

    async def test_is_retried_up_to_max_retries(
        self, make_client: Any, fake_server: FakeServer
    ) -> None:
        client = make_client(base_url=fake_server.base_url, max_retries=2)
        output = await file_output(client, fake_server)
        fake_server.respond_with(lambda r: DROP if "Range" in r.headers else cut(5000))
        with pytest.raises(APIConnectionError, match="broke"):
            await output.read()
        assert len(fake_server.requests) == 3


class TestFileMetadata:
    async def test_metadata_before_and_after_reading(
        self, scripted_client: Any, fake_server: FakeServer
    ) -> None:
        output = await file_output(scripted_client, fake_server, "/out/photo.jpeg?x=1")
        known = getattr(output, "file", output)  # the sync output behind its async interface
        assert known.content_type == "image/jpeg"
        assert known.size is None
        fake_server.respond_with(sends(CONTENT))
        await output.read()
        assert known.content_type == "image/png"
        assert known.size == len(CONTENT)
