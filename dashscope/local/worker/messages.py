"""Messages between the server and a worker: JSON, prefixed with its length in four bytes."""

import json
import struct
from typing import Any, Final, Protocol, runtime_checkable

LENGTH: Final = struct.Struct(">I")
FRAME_LIMIT: Final = 64 * 1024 * 1024
"""Maximum bytes of one message, and so of the output of a model."""


@runtime_checkable
class Readable(Protocol):
    """A binary file, buffered or not."""

    def read(self, size: int, /) -> bytes | None:
        """Return up to ``size`` bytes, and none at the end of the file."""
        ...


def encode(message: dict[str, Any]) -> bytes:
    """Encode a message.

    Raises:
        ValueError: The message is longer than ``FRAME_LIMIT``.
    """
    body = json.dumps(message).encode()
    if len(body) > FRAME_LIMIT:
        raise ValueError(f"{len(body)} bytes are more than the limit of {FRAME_LIMIT}")
    return LENGTH.pack(len(body)) + body


def read(file: Readable, head: bytes = b"") -> dict[str, Any] | None:
    """Read the next message. Return None at the end of the file.

    Args:
        file: The file to read from.
        head: The first bytes of the message, if they were already read.
    """
    length = head + _exactly(file, LENGTH.size - len(head))
    if len(length) < LENGTH.size:
        return None
    size: int = LENGTH.unpack(length)[0]
    body = _exactly(file, size)
    message: dict[str, Any] | None = json.loads(body) if len(body) == size else None
    return message


def _exactly(file: Readable, size: int) -> bytes:
    """Read a number of bytes, or fewer at the end of the file."""
    data = bytearray()
    while len(data) < size and (chunk := file.read(size - len(data))):
        data += chunk
    return bytes(data)


def marker(nonce: str) -> bytes:
    """Return the bytes that a worker writes to its log after each job."""
    return f"\0{nonce}\0".encode()
