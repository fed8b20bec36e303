"""File outputs: each URL in an output becomes a `str` that can be read and saved."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashscope import AsyncClient, AsyncFileOutput, Client, FileError, FileOutput
from dashscope._files.download import decode_data_uri
from dashscope._files.file_output import wrap_file_outputs
from tests.variants import variants

ASYNC = AsyncClient()._api
SYNC = Client()._async._api
URL = "https://example.com/out/image.png"


@variants(
    "text",
    [
        URL,
        "http://127.0.0.1:1/x",
        "HTTPS://EXAMPLE.com",
        "data:text/plain,hello",
        "DATA:,x",
        "https://x/?a=b#c",
    ],
)
def test_a_url_becomes_a_file_output(text: str) -> None:
    for api, cls in ((ASYNC, AsyncFileOutput), (SYNC, FileOutput)):
        output = wrap_file_outputs(text, api)
        assert type(output) is cls
        assert output == text


@variants(
    "text",
    [
        "",
        "hello",
        "see https://example.com",
        "https://example.com and more",
        "https://a\nhttps://b",
        "ftp://example.com/x",
        "//example.com",
        " https://example.com",
        "database: x",
        "httpsx://a",
        "https://",
        "http:///path",
        "https://?",
        "data:",
        "data:text",
        "data:image/png;base64",
    ],
)
def test_other_text_stays_text(text: str) -> None:
    assert type(wrap_file_outputs(text, ASYNC)) is str
    assert wrap_file_outputs(text, ASYNC) is text


def test_nested_urls_become_file_outputs() -> None:
    output = {"image": URL, "more": [URL, [{"deep": URL}], "text", 5, None], URL: True}
    claimed = wrap_file_outputs(output, ASYNC)
    assert claimed == output
    found = [claimed["image"], claimed["more"][0], claimed["more"][1][0]["deep"]]
    assert all(type(item) is AsyncFileOutput for item in found)
    assert type(claimed["more"][2]) is str
    assert all(type(key) is str for key in claimed)
    # The output of the prediction is unchanged.
    assert type(output["image"]) is str


@given(
    st.recursive(
        st.none() | st.integers() | st.text() | st.just(URL),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_an_output_equals_the_json_of_the_server(output: Any) -> None:
    assert wrap_file_outputs(output, ASYNC) == output


@pytest.fixture(params=[ASYNC, SYNC], ids=["async", "sync"])
def output(request: pytest.FixtureRequest) -> Any:
    return wrap_file_outputs(URL, request.param)


class TestFileOutputIsItsURL:
    def test_serializes_to_json(self, output: Any) -> None:
        assert json.dumps({"image": output}) == json.dumps({"image": URL})

    def test_prints_compares_and_hashes_like_a_string(self, output: Any) -> None:
        assert f"{output}" == str(output) == URL
        assert repr(output) == repr(URL)
        assert type(str(output)) is str
        assert hash(output) == hash(URL)
        assert {URL: 1}[output] == 1
        assert output.endswith(".png")
        assert output + "?size=1" == URL + "?size=1"

    @variants("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_pickles_as_the_plain_url(self, output: Any, protocol: int) -> None:
        other = pickle.loads(pickle.dumps([output], protocol))[0]
        assert other == URL
        assert type(other) is str

    def test_copies_as_the_plain_url(self, output: Any) -> None:
        for other in (copy.copy(output), copy.deepcopy({"a": output})["a"]):
            assert other == URL
            assert type(other) is str

    def test_has_no_other_attributes(self, output: Any) -> None:
        assert not hasattr(output, "__dict__")


@variants(
    ("uri", "kind", "content"),
    [
        ("data:text/plain;base64,aGVsbG8=", "text/plain", b"hello"),
        ("data:image/png;base64,iVBORw0K", "image/png", b"\x89PNG\r\n"),
        ("data:;base64,aGVsbG8=", "text/plain", b"hello"),
        ("data:,hello", "text/plain", b"hello"),
        ("data:,", "text/plain", b""),
        ("data:text/plain;charset=utf-8;base64,aGVsbG8=", "text/plain", b"hello"),
        ("data:text/plain;charset=utf-8,hello", "text/plain", b"hello"),
        ("DATA:Text/Plain;BASE64,aGVsbG8=", "Text/Plain", b"hello"),
        ("data:text/plain,a%20b%00+", "text/plain", b"a b\x00+"),
        ("data:text/plain,ü", "text/plain", "ü".encode()),
        ("data:text/plain;base64,aGVsbG8%3D", "text/plain", b"hello"),
        ("data:text/plain,a,b;base64,c", "text/plain", b"a,b;base64,c"),
        ("data:text/html,<a>\n</a>", "text/html", b"<a>\n</a>"),
    ],
)
def test_a_data_uri_contains_its_content(uri: str, kind: str, content: bytes) -> None:
    assert decode_data_uri(uri) == (kind, content)


@given(st.binary())
def test_any_bytes_round_trip_through_a_data_uri(content: bytes) -> None:
    uri = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    assert decode_data_uri(uri) == ("image/png", content)


@variants(
    "uri",
    [
        "data:",
        "data:text/plain",
        "data:text/plain;base64",
        "https://example.com",
        "",
        "data:;base64,a",
        "data:;base64,aGVsbG8",
        "data:;base64,a$b=",
        "data:;base64,aGVs bG8=",
    ],
)
def test_an_invalid_data_uri_is_a_file_error(uri: str) -> None:
    with pytest.raises(FileError) as caught:
        decode_data_uri(uri)
    assert repr(uri)[1:30].rstrip("'") in str(caught.value)


def test_an_error_truncates_the_data_uri() -> None:
    with pytest.raises(FileError) as caught:
        decode_data_uri("data:;base64," + "$" * 100_000)
    assert len(str(caught.value)) < 300


def data(content: bytes, flavor: str, kind: str = "text/plain") -> Any:
    import base64

    from tests.flavors import _plain

    api = SYNC if flavor == "sync" else ASYNC
    return _plain(
        wrap_file_outputs(f"data:{kind};base64,{base64.b64encode(content).decode()}", api)
    )


class TestDataURI:
    async def test_reads_without_a_request(self, flavor: str) -> None:
        assert await data(b"hello", flavor).read() == b"hello"
        assert [piece async for piece in data(b"hello", flavor).iter_bytes()] == [b"hello"]

    async def test_can_be_saved(self, flavor: str, tmp_path: Path) -> None:
        saved = await data(b"hello", flavor).save(tmp_path / "hello.txt")
        assert saved == tmp_path / "hello.txt"
        assert saved.read_bytes() == b"hello"

    @variants(
        ("kind", "name"),
        [
            ("image/png", "output.png"),
            ("text/plain", "output.txt"),
            ("application/gzip", "output.gz"),
            ("audio/wav", "output.wav"),
            ("audio/x-wav", "output.wav"),
            ("image/jpg", "output.jpg"),
            ("Image/JPEG", "output.jpg"),
            ("image/webp;x=1", "output.webp"),
            ("model/gltf-binary", "output.glb"),
            ("application/problem+json", "output.json"),
            ("x/unknown", "output"),
        ],
    )
    async def test_file_name_has_the_extension_of_its_type(
        self, flavor: str, tmp_path: Path, kind: str, name: str
    ) -> None:
        saved = await data(b"x", flavor, kind).save(tmp_path)
        assert saved == tmp_path / name
        saved.unlink()

    async def test_an_invalid_one_saves_nothing(self, flavor: str, tmp_path: Path) -> None:
        from tests.flavors import _plain

        api = SYNC if flavor == "sync" else ASYNC
        broken = _plain(wrap_file_outputs("data:;base64,a$", api))
        with pytest.raises(FileError):
            await broken.save(tmp_path / "x")
        with pytest.raises(FileError):
            await broken.read()
        assert list(tmp_path.iterdir()) == []


def test_an_output_may_be_nested_as_deep_as_json() -> None:
    output = json.loads("[" * 900 + json.dumps(URL) + "]" * 900)
    claimed = wrap_file_outputs(output, ASYNC)
    for _ in range(900):
        (output,), (claimed,) = output, claimed
    assert type(output) is str
    assert type(claimed) is AsyncFileOutput
