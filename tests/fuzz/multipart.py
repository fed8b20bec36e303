"""Multipart bodies are parsed correctly by an independent parser.

The input consists of a field's name and value and a file's name and content, separated by NUL.
"""

from __future__ import annotations

import re

from python_multipart.multipart import Field, File, FormParser

from dashscope._files.local_file import LocalFile, check_name
from dashscope._transport.multipart import body_of
from dashscope.types.http import FilePart, Request

SEEDS = (
    b"metadata\0{}\0photo.png\0content",
    b"a\0b\0c\0d",
    b'na"me\0va\r\nlue\0fi"le\\n.png\0\r\n--boundary--\r\n',
    "ü\0ä\0日本.png\0ö".encode(),
    b"a\0\0%22\0",
    b"a\0b\0x\0" + bytes(range(256)),
)


def one_input(data: bytes) -> None:
    name, value, filename, content = (*data.split(b"\0", 3), b"", b"", b"", b"")[:4]
    texts = [part.decode("utf-8", "replace") for part in (name, value, filename)]
    try:
        check_name(texts[2])
    except ValueError:
        return
    file = LocalFile(filename=texts[2], content_type="image/png", size=len(content), source=content)
    body = body_of(
        Request(
            method="POST",
            url="https://api.example.com/v1/files",
            files=(FilePart(name="content", file=file),),
            fields={texts[0]: texts[1]},
        )
    )
    whole = b"".join(
        piece if isinstance(piece, bytes) else piece.file.read() for piece in body.pieces
    )
    assert len(whole) == body.length
    fields, files = read(body.content_type, whole)
    ((sent_name, sent_value),) = fields
    assert (sent_name, sent_value) == (escaped(texts[0]), texts[1])
    ((part, sent_filename, sent),) = files
    assert (part, sent) == ("content", content)
    if "\\" not in texts[2]:  # the parser takes such a name for a Windows path
        assert sent_filename == escaped(texts[2])


def read(
    content_type: str, body: bytes
) -> tuple[list[tuple[str, str]], list[tuple[str, str, bytes]]]:
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, str, bytes]] = []

    def on_field(field: Field) -> None:
        name, value = field.field_name or b"", field.value or b""
        fields.append((name.decode(), value.decode()))

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        names = (file.field_name or b"", file.file_name or b"")
        files.append((names[0].decode(), names[1].decode(), file.file_object.read()))

    kind, _, boundary = content_type.partition("; boundary=")
    parser = FormParser(kind, on_field, on_file, boundary=boundary.encode())
    parser.write(body)
    parser.finalize()
    return fields, files


def escaped(text: str) -> str:
    """Return a name as HTML escapes it in multipart bodies."""
    return re.sub(r'["\x00-\x1a\x1c-\x1f]', lambda found: f"%{ord(found[0]):02X}", text)
