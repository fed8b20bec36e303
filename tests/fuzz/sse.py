"""The parser of server-sent events follows the specification, in any chunks."""

from __future__ import annotations

import random

from tests.servers.stream_events import parse_by_specification, parse_with_clients, random_pieces

SEEDS = (
    b"\x00event: output\nid: 7\ndata: a\n\n",
    b"\x01\xef\xbb\xbfdata\r\rdata:\r\n\r\nid\n\nretry: +5\n\n",
    b"\x02data: a\x00\nid: 1\x00\nevent\n\n: comment\n\nretry: 10\ndata\n\n",
    b"\x03data: \xff\xfe\n\ndata:  x\nid:\n\n\xf0\x9f\x99\x82: 1\n\n",
)


def one_input(data: bytes) -> None:
    stream = data[1:]
    read = parse_with_clients([stream])
    # A number with very many digits is valid but useless as a delay.
    if b"retry" not in stream:
        assert read == parse_by_specification(stream)
    assert parse_with_clients(random_pieces(stream, random.Random(data[:1]))) == read
