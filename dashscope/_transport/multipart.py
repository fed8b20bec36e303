"""A multipart body as httpx writes it, with the files left out, to be read as they are sent."""

from __future__ import annotations

import secrets

from attrs import frozen

from dashscope import types


@frozen
class MultipartBody:
    """A multipart body.

    Attributes:
        content_type: the header's value, with the boundary.
        length: the length of the whole body in bytes.
        pieces: the bytes between the files, and the files.
    """

    content_type: str
    length: int
    pieces: tuple[bytes | types.FilePart, ...]


def body_of(request: types.Request) -> MultipartBody:
    """The body of a request with files.

    httpx writes it with a mark where each file's content goes; its own way to send files would
    read them on the event loop.
    """
    import httpx

    marks = [secrets.token_bytes(24) for _ in request.files]
    written = httpx.Request(
        "POST",
        request.url,
        data=dict(request.fields),
        files=[
            (part.name, (part.file.filename, mark, part.file.content_type))
            for part, mark in zip(request.files, marks, strict=True)
        ],
    )
    pieces: list[bytes | types.FilePart] = []
    rest = written.read()
    for part, mark in zip(request.files, marks, strict=True):
        before, _, rest = rest.partition(mark)
        pieces += [before, part]
    pieces.append(rest)
    length = sum(len(piece) if isinstance(piece, bytes) else piece.file.size for piece in pieces)
    return MultipartBody(written.headers["content-type"], length, tuple(pieces))
