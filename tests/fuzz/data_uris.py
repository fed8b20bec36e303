"""Data URIs round-trip, and invalid ones are a `FileError`."""

from __future__ import annotations

from dashscope import FileError
from dashscope._files.download import decode_data_uri
from dashscope._files.inputs import _data_uri, _uri_length
from dashscope._files.local_file import LocalFile

SEEDS = (
    b"data:text/plain;base64,YWJj",
    b"data:,a%20b",
    b"data:;base64,",
    b"data:text/plain",
    b"data:",
    b"DATA:text/html;charset=utf-8;BASE64,YQ==",
    b"data:;base64,Y",
    b"data:;base64,Y Q=",
    b"data:,%",
    b"data:;base64,%59Q%3D%3D",
    b'data:a;b=",";base64,YQ==',
    "data:ü,ä%ff".encode(),
    b"data:,\x00",
)


def one_input(data: bytes) -> None:
    file = LocalFile(filename="f", content_type="image/png", size=len(data), source=data)
    uri = _data_uri(file)
    assert len(uri) == _uri_length(file)
    assert decode_data_uri(uri) == ("image/png", data)
    try:
        kind, content = decode_data_uri(data.decode("utf-8", "replace"))
    except FileError as error:
        assert len(str(error)) < 500
    else:
        assert kind
        assert isinstance(content, bytes)
