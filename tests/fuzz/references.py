"""`owner/name` and `owner/name:version` round-trip."""

from __future__ import annotations

from dashscope._common.urls import Reference

SEEDS = (
    b"owner/name",
    b"owner/name:version",
    b"owner/name:",
    b"/name",
    b"owner/",
    b"a/b/c",
    b"a/b:c:d",
    b"a/b:c/d",
    b"a /b",
    b"a/b\n",
    "ö/ü:ß".encode(),
    "a\u2028/b".encode(),
    b"a/b\x1f",
    b"",
    b":",
    b"/:",
)


def one_input(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        read = Reference.parse(text)
    except ValueError as error:
        assert "owner/name" in str(error)
        return
    written = f"{read.owner}/{read.name}" + (f":{read.version}" if read.version else "")
    assert written == text
    for part in (read.owner, read.name, read.version):
        assert part is None or (part and not set(part) & set("/: \n\r\t"))
