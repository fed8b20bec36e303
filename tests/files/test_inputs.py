"""Files in inputs: found at any depth, and read before any request."""

from __future__ import annotations

import base64
import io
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscope import AsyncClient, FileError
from dashscope._files.file_output import AsyncFileOutput
from dashscope._files.inputs import LARGEST_DATA_URI, encode
from dashscope._files.local_file import LocalFile, load
from dashscope._runtime.async_runtime import AsyncRuntime
from dashscope._runtime.drive import drive
from dashscope._runtime.runtime import Runtime
from dashscope._runtime.sync_runtime import SyncRuntime
from tests.variants import variants

SMALL = b"\x89PNG\r\n"
LARGE = bytes(LARGEST_DATA_URI + 1)


@pytest.fixture
def runtime(flavor: str) -> Runtime:
    return make_runtime(flavor)


def make_runtime(flavor: str) -> Runtime:
    return SyncRuntime(lambda value: value) if flavor == "sync" else AsyncRuntime()


class Uploads(list[LocalFile]):
    """The uploaded files. The nth upload gets the URL `https://files/n`."""

    def __init__(self) -> None:
        super().__init__()
        self.contents: list[bytes] = []

    async def read(self, file: LocalFile) -> str:
        """Store a file and its content."""
        self.contents.append(file.read())
        return await self(file)

    async def __call__(self, file: LocalFile) -> str:
        self.append(file)
        return f"https://files/{len(self)}"


def uri(content: bytes, kind: str = "application/octet-stream") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner:
    st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)  # fmt: skip


@given(st.dictionaries(st.text(), JSON))
def test_json_is_sent_unchanged(input: dict[str, Any]) -> None:
    uploads = Uploads()
    made = drive(encode(input, make_runtime("sync"), uploads))
    assert made == input
    assert made is not input
    assert uploads == []


async def test_json_compatible_values_become_json(runtime: Runtime) -> None:
    input = {
        "tuple": (1, ("a",)),
        "range": range(2),
        "proxy": MappingProxyType({"a": OrderedDict(b=1)}),
    }
    assert await encode(input, runtime, Uploads()) == {
        "tuple": [1, ["a"]],
        "range": [0, 1],
        "proxy": {"a": {"b": 1}},
    }


async def test_nested_files_are_found(runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(SMALL)
    input = {
        "path": path,
        "list": [1, b"a", [bytearray(b"b"), {"deep": memoryview(b"c")}]],
        "tuple": (io.BytesIO(b"d"),),
        "text": str(path),
    }
    made = await encode(input, runtime, Uploads())
    assert made == {
        "path": uri(SMALL, "image/png"),
        "list": [1, uri(b"a"), [uri(b"b"), {"deep": uri(b"c")}]],
        "tuple": [uri(b"d")],
        # A string is never opened as a path.
        "text": str(path),
    }
    assert input["path"] is path


@variants(
    ("encoding", "content", "uploaded"),
    [
        ("auto", SMALL, False),
        ("auto", b"", False),
        ("auto", LARGE[:-1], False),
        ("auto", LARGE, True),
        ("upload", SMALL, True),
        ("upload", b"", True),
        ("data-uri", LARGE, False),
    ],
)
async def test_small_files_are_sent_inline_and_large_ones_uploaded(
    runtime: Runtime, encoding: Any, content: bytes, uploaded: bool
) -> None:
    uploads = Uploads()
    made = await encode({"x": content}, runtime, uploads, encoding)
    assert made == {"x": "https://files/1" if uploaded else uri(content)}
    assert [file.read() for file in uploads] == ([content] if uploaded else [])


async def test_each_uploaded_file_has_its_own_url(runtime: Runtime) -> None:
    async def upload(file: LocalFile) -> str:
        return f"https://files/{file.read().decode()}"

    made = await encode({"a": b"1", "b": [b"2", {"c": b"3"}]}, runtime, upload, "upload")
    assert made == {"a": "https://files/1", "b": ["https://files/2", {"c": "https://files/3"}]}


async def test_a_file_output_is_sent_as_its_url(runtime: Runtime) -> None:
    output = AsyncFileOutput("https://example.com/a.png", AsyncClient()._api)
    made = await encode({"image": output, "more": [output]}, runtime, Uploads(), "upload")
    assert made == {"image": "https://example.com/a.png", "more": ["https://example.com/a.png"]}
    assert type(made["image"]) is str


async def test_a_file_has_the_name_of_its_path_and_the_type_of_its_extension(
    runtime: Runtime, tmp_path: Path
) -> None:
    path = tmp_path / "photo.jpeg"
    path.write_bytes(SMALL)
    assert await load(path, runtime) == LocalFile(
        filename="photo.jpeg", content_type="image/jpeg", size=len(SMALL), source=path
    )
    with path.open("rb") as opened:
        assert (await load(opened, runtime)).filename == "photo.jpeg"
    made = await load(path, runtime, filename="other.txt")
    assert (made.filename, made.content_type) == ("other.txt", "text/plain")
    made = await load(path, runtime, content_type="image/x-own")
    assert (made.filename, made.content_type) == ("photo.jpeg", "image/x-own")


async def test_a_file_without_a_name_has_a_default_type(runtime: Runtime) -> None:
    named = io.BytesIO(SMALL)
    named.name = 7  # a file descriptor, as in `open(7)`
    for content in (SMALL, bytearray(SMALL), memoryview(SMALL), io.BytesIO(SMALL), named):
        made = await load(content, runtime)
        assert (made.filename, made.content_type) == ("file", "application/octet-stream")
        assert (made.size, made.read(), made.read()) == (len(SMALL), SMALL, SMALL)


async def test_the_name_of_an_open_file_may_be_bytes(runtime: Runtime) -> None:
    named = io.BytesIO(SMALL)
    named.name = b"/home/alice/photo.png"
    assert (await load(named, runtime)).filename == "photo.png"


async def test_an_open_file_is_read_from_its_position(runtime: Runtime) -> None:
    opened = io.BytesIO(b"headerbody")
    opened.seek(6)
    assert (await load(opened, runtime)).read() == b"body"


async def test_an_open_file_keeps_its_position_and_can_be_sent_again(runtime: Runtime) -> None:
    opened = io.BytesIO(b"headerbody")
    opened.seek(6)
    for encoding in ("data-uri", "upload", "data-uri"):
        uploads = Uploads()
        made = await encode({"x": opened, "again": opened}, runtime, uploads.read, encoding)
        assert uploads.contents or made == {"x": uri(b"body"), "again": uri(b"body")}
        assert uploads.contents in ([], [b"body"])
        assert opened.tell() == 6


async def test_an_open_file_is_read_from_a_changed_position(runtime: Runtime) -> None:
    opened = io.BytesIO(b"headerbody")
    first = await load(opened, runtime)
    opened.seek(6)
    second = await load(opened, runtime)
    assert (first.size, second.size) == (10, 4)
    pieces = zip(first.pieces(), second.pieces(), strict=True)  # one after the other
    assert list(pieces) == [(b"headerbody", b"body")]


async def test_a_file_at_its_end_is_not_sent_as_empty(runtime: Runtime, tmp_path: Path) -> None:
    memory = io.BytesIO()
    with (tmp_path / "photo.png").open("w+b") as file:
        for opened in (memory, file):
            opened.write(SMALL)
            with pytest.raises(FileError, match=r"at its end.*seek\(0\)"):
                await load(opened, runtime)
            assert opened.tell() == len(SMALL)
            opened.seek(0)
            assert (await load(opened, runtime)).read() == SMALL
            opened.seek(100)
            with pytest.raises(FileError, match="at its end"):
                await load(opened, runtime)


async def test_two_calls_may_read_the_same_open_file_at_once(
    runtime: Runtime, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 4096
    path = tmp_path / "data.bin"
    path.write_bytes(content)
    with path.open("rb") as opened:
        first = await load(opened, runtime)
        begun = first.pieces()
        pieces = [next(begun)]
        second = await load(opened, runtime)
        assert (second.start, second.read()) == (0, content)
        second.close()
        assert b"".join([*pieces, *begun]) == content
        first.close()
        assert opened.tell() == 0


async def test_a_closed_file_is_released_silently(runtime: Runtime) -> None:
    opened = io.BytesIO(SMALL)
    made = await load(opened, runtime)
    opened.close()
    made.close()
    with pytest.raises(FileError, match="closed file"):
        made.read()


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="a file of Linux's")
async def test_a_file_without_a_length_is_read_to_its_end(runtime: Runtime) -> None:
    path = Path("/proc/self/limits")
    content = path.read_bytes()
    assert content
    with path.open("rb") as opened:
        for file in (path, opened):
            made = await load(file, runtime)
            assert (made.filename, made.size, made.read()) == ("limits", len(content), content)
            made.close()
        assert opened.tell() == 0


async def test_an_empty_file_is_not_copied(runtime: Runtime, tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    with path.open("rb") as opened:
        for file in (path, opened, io.BytesIO()):
            made = await load(file, runtime)
            assert (made.size, made.read(), made.is_copy) == (0, b"", False)


async def test_a_non_blocking_pipe_is_rejected(runtime: Runtime) -> None:
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    os.write(writes, b"a part")
    with (
        os.fdopen(writes, "wb"),
        os.fdopen(reads, "rb", buffering=0) as opened,
        pytest.raises(FileError, match="non-blocking"),
    ):
        await load(opened, runtime)


@variants(
    ("name", "sent"),
    [
        ("a\nb.png", "a_b.png"),
        ("a\rb\x7f.png", "a_b_.png"),
        (os.fsdecode(b"a\xff.png"), "a?.png"),
        ('a"b;c.png', 'a"b;c.png'),
        ("grüße 日本.png", "grüße 日本.png"),
    ],
)
async def test_a_file_may_have_any_name(
    runtime: Runtime, tmp_path: Path, name: str, sent: str
) -> None:
    path = tmp_path / name
    path.write_bytes(SMALL)
    with path.open("rb") as opened:
        for file in (path, opened):
            made = await load(file, runtime)
            assert (made.filename, made.content_type) == (sent, "image/png")
            assert await encode({"x": file}, runtime, Uploads(), "upload")


@variants(
    ("name", "kind"),
    [
        ("data.csv", "text/csv"),
        ("data.csv.gz", "application/gzip"),
        ("data.tar.gz", "application/gzip"),
        ("data.tgz", "application/gzip"),
        ("data.json.bz2", "application/x-bzip2"),
        ("data.tar.xz", "application/x-xz"),
        ("data.txt.Z", "application/octet-stream"),
        ("data:image", "application/octet-stream"),
        ("data:a,b.png", "image/png"),
        ("a.webp", "image/webp"),
        ("a.m4a", "audio/mp4"),
        ("a.flac", "audio/flac"),
        ("a.ogg", "audio/ogg"),
        ("a.WAV", "audio/wav"),
        ("a.mkv", "video/x-matroska"),
        ("a.glb", "model/gltf-binary"),
        ("a.md", "text/markdown"),
        ("a.unknown", "application/octet-stream"),
        (".png", "application/octet-stream"),
    ],
)
async def test_media_types_do_not_depend_on_the_system(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    monkeypatch.setattr("mimetypes.guess_type", lambda *_: ("x/of-this-machine", None))
    assert (await load(SMALL, runtime, filename=name)).content_type == kind


async def test_any_object_with_read_is_a_file(runtime: Runtime) -> None:
    class Download:
        name = "a.gif"

        def read(self) -> bytes:
            return SMALL

    assert await encode({"x": Download()}, runtime, Uploads()) == {"x": uri(SMALL, "image/gif")}


def test_a_memoryview_slice_sends_its_bytes() -> None:
    made = drive(load(memoryview(b"abcdef")[::2], make_runtime("sync")))
    assert made.read() == b"ace"


async def test_an_unseekable_file_is_copied_for_retries(runtime: Runtime) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    for content in (SMALL, LARGE):
        made = await load(Pipe(content), runtime)
        assert (made.size, made.read(), made.read()) == (len(content), content, content)
        made.close()


async def test_a_file_that_changes_during_the_upload_is_an_error(
    runtime: Runtime, tmp_path: Path
) -> None:
    path = tmp_path / "log.txt"
    path.write_bytes(b"four")
    made = await load(path, runtime)
    for content in (b"longer", b"1"):
        path.write_bytes(content)
        with pytest.raises(FileError, match="changed its length"):
            made.read()
    path.unlink()
    with pytest.raises(FileError, match="cannot be read"):
        made.read()


class Broken:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def read(self) -> bytes:
        raise self.error


class CustomReader:
    def __init__(self, what: Any) -> None:
        self.what = what

    def read(self, size: int = -1) -> Any:
        return self.what


def bad_files(folder: Path) -> list[tuple[Any, str]]:
    text = folder / "text.txt"
    text.write_text("text")
    closed = text.open("rb")
    closed.close()
    return [
        (folder / "missing.png", "missing.png cannot be read"),
        (folder, "cannot be read"),
        (Path("nul\0.png"), "cannot be read"),
        (closed, "text.txt cannot be read"),
        (io.StringIO("text"), "text mode"),
        (Broken(OSError(5, "Input/output error")), "Input/output error"),
        (Broken(ValueError("read of closed file")), "cannot be read"),
        (CustomReader(bytearray(b"x")), "must return bytes from read\\(\\), not bytearray"),
        (CustomReader(None), "must return bytes from read\\(\\), not NoneType"),
    ]


async def test_one_invalid_file_prevents_all_requests(runtime: Runtime, tmp_path: Path) -> None:
    for bad, message in bad_files(tmp_path):
        uploads = Uploads()
        for input in ({"good": LARGE, "bad": bad}, {"bad": [bad], "good": LARGE}):
            with pytest.raises(FileError, match=message):
                await encode(input, runtime, uploads, "upload")
        assert uploads == []


async def test_a_file_beyond_the_size_limit_is_rejected(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._files.local_file.LARGEST_FILE", 100)
    uploads = Uploads()
    await encode({"good": bytes(100)}, runtime, uploads, "upload")
    with pytest.raises(FileError, match=r"101 bytes.*100 MB.*URL"):
        await encode({"good": b"a", "bad": bytes(101)}, runtime, uploads, "upload")
    assert len(uploads) == 1


async def test_data_uris_beyond_the_size_limit_are_rejected(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashscope._files.inputs.LARGEST_DATA_URIS", 200)
    assert await encode({"x": bytes(50), "y": b""}, runtime, Uploads(), "data-uri")
    with pytest.raises(FileError, match=r"characters of data URIs.*upload"):
        await encode({"x": bytes(50), "y": bytes(50)}, runtime, Uploads(), "data-uri")
    with pytest.raises(FileError, match="'auto' or 'upload'"):
        await encode({"x": bytes(200)}, runtime, Uploads(), "data-uri")
    # A file that occurs twice is sent twice.
    twice = bytes(90)
    assert await encode({"x": twice}, runtime, Uploads(), "data-uri")
    with pytest.raises(FileError, match="characters of data URIs"):
        await encode({"x": [twice, twice]}, runtime, Uploads(), "data-uri")


async def test_a_failed_upload_raises(runtime: Runtime) -> None:
    async def upload(file: LocalFile) -> str:
        raise FileError("no room")

    with pytest.raises(FileError, match="no room"):
        await encode({"x": SMALL}, runtime, upload, "upload")


def identity() -> dict[str, Any]:
    input: dict[str, Any] = {"a": []}
    input["a"].append({"b": input})
    return input


class ReadsAsync:
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b""


@variants(
    ("input", "error", "message"),
    [
        ("text", TypeError, "input must be a mapping"),
        ([{"a": 1}], TypeError, "input must be a mapping"),
        (None, TypeError, "input must be a mapping"),
        ({1: "a"}, TypeError, "input has the key 1"),
        ({"a": {None: 1}}, TypeError, r"input\['a'\] has the key None"),
        ({"a": [{"b": object()}]}, TypeError, r"input\['a'\]\[0\]\['b'\] is"),
        ({"a": {1, 2j}}, TypeError, r"input\['a'\]\[\d\] is neither a JSON value nor a file"),
        ({"a": 1j}, TypeError, "neither a JSON value nor a file"),
        ({"a": ReadsAsync()}, TypeError, "Pass a list of its items"),
        (identity(), ValueError, r"input\['a'\]\[0\]\['b'\] contains itself"),
    ],
)
async def test_an_error_names_the_unsupported_value(
    runtime: Runtime, input: Any, error: type[Exception], message: str
) -> None:
    uploads = Uploads()
    with pytest.raises(error, match=message):
        await encode(input, runtime, uploads, "upload")
    assert uploads == []


async def test_a_repeated_object_is_not_a_cycle(runtime: Runtime) -> None:
    shared: Mapping[str, Any] = {"x": [1]}
    assert await encode({"a": shared, "b": [shared, shared]}, runtime, Uploads()) == {
        "a": {"x": [1]},
        "b": [{"x": [1]}, {"x": [1]}],
    }


@variants("encoding", ["zip", "", None, "Auto"])
async def test_an_unknown_encoding_is_rejected(runtime: Runtime, encoding: Any) -> None:
    error = ValueError if isinstance(encoding, str) else TypeError
    with pytest.raises(error, match="'auto', 'upload' or 'data-uri'"):
        await encode({}, runtime, Uploads(), encoding)
