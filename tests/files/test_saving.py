"""Sanitized names of downloaded files."""

from __future__ import annotations

from dashscope._files.saving import safe_name


def test_file_names_of_a_server_are_sanitized() -> None:
    names = {
        "photo.png": "photo.png",
        "日本 é 👩\u200d💻.png": "日本 é 👩\u200d💻.png",
        ".bashrc": "_bashrc",
        "..hidden": "_hidden",
        " .hidden": "_hidden",
        "-rf": "_rf",
        "--output=x": "_output=x",
        "a-b.c": "a-b.c",
        "a\u202egnp.exe": "a_gnp.exe",
        "a\u2066b\u2069\u200f\u061c": "a_b___",
        "a\x9b\u2028b": "a__b",
        "../../etc/passwd": "__.._etc_passwd",
        "...": "",
        ". .": "",
        "": "",
    }
    assert {name: safe_name(name) for name in names} == names
