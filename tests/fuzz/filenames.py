"""A file name from `Content-Disposition` or a URL is valid and stays in the folder.

The input consists of the URL, a line feed, and the header.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from dashscope import Headers
from dashscope._files.saving import name_of, target

BIDI_CONTROLS = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
FOLDER = Path("/nowhere/of/all")
SEEDS = (
    b'https://x/a.png\nattachment; filename="b.png"',
    b"https://x/\nattachment; filename=../../etc/passwd",
    b"https://x/%2e%2e%2f\n",
    b'https://x/..\nattachment; filename=".."',
    b"https://x/a\nattachment; filename*=utf-8''b%C3%A4r.txt",
    b"https://x/a\nattachment; filename*=nothing''%ff; filename*1=a",
    b"https://x/a\nattachment; filename*0*=''a; filename*1=b; filename*x=c",
    b'https://x/a\nattachment; filename="a\\"b\\\\c"; =;;"',
    b'https://x/a\nattachment; filename="=?utf-8?b?Li4v?="',
    b"https://x/a\ninline; filename=CON\x00.txt",
    b"https://[\n",
    b"data:text/html;base64,\n",
    "https://x/日本\nattachment; filename=".encode() + "日".encode() * 300,
    b"https://x/a\nattachment; filename*=us-ascii'en'%80",
    b"https://x/" + b"a" * 400 + b".png\n",
    b"https://x/.bashrc\n",
    b"https://x/a\nattachment; filename=-rf",
    b"https://x/a\nattachment; filename*=utf-8''a%E2%80%AEgnp.exe",
)


def one_input(data: bytes) -> None:
    url, _, disposition = data.decode("utf-8", "replace").partition("\n")
    headers = Headers({"content-disposition": disposition, "content-type": disposition})
    name = name_of(url, headers)
    file = target(f"{FOLDER}{os.sep}", name)
    assert file.parent == FOLDER
    assert file.name == name
    assert name not in ("", ".", "..")
    assert len(os.fsencode(name)) <= 255
    assert not set(name) & set('/\\:*?"<>|\0\r\n')
    assert not any(unicodedata.bidirectional(item) in BIDI_CONTROLS for item in name)
    assert not name.startswith((".", "-"))
