"""The messages between the server and a worker: JSON, each after its length in four bytes."""

import json
import struct
from typing import Any, Final

LENGTH: Final = struct.Struct(">I")
FRAME_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of one message; what a model returns has to fit."""


def encode(message: dict[str, Any]) -> bytes:
    """Write a message.

    Raises:
        ValueError: It is longer than a message may be.
    """
    body = json.dumps(message).encode()
    if len(body) > FRAME_LIMIT:
        raise ValueError(f"{len(body)} bytes are more than the {FRAME_LIMIT} a message may have")
    return LENGTH.pack(len(body)) + body


def marker(nonce: str) -> bytes:
    """Return what a worker writes to its log when a job's output is complete."""
    return f"\0{nonce}\0".encode()
