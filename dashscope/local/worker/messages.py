"""Messages between the server and a worker: JSON, prefixed with its length in four bytes."""

import json
import struct
from typing import Any, Final

LENGTH: Final = struct.Struct(">I")
FRAME_LIMIT: Final = 64 * 1024 * 1024
"""Maximum bytes of one message, and so of the output of a model."""


def encode(message: dict[str, Any]) -> bytes:
    """Encode a message.

    Raises:
        ValueError: The message is longer than ``FRAME_LIMIT``.
    """
    body = json.dumps(message).encode()
    if len(body) > FRAME_LIMIT:
        raise ValueError(f"{len(body)} bytes are more than the limit of {FRAME_LIMIT}")
    return LENGTH.pack(len(body)) + body


def marker(nonce: str) -> bytes:
    """Return the bytes that a worker writes to its log after each job."""
    return f"\0{nonce}\0".encode()
