"""File outputs: URLs on stdout, or saved files with `-o`."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image

from dashscope import Client
from dashscope.local import LocalServer
from tests.cli.command import CommandLine


def test_run_saves_the_thumbnail_of_a_photo(
    dashscope: CommandLine, photo: Path, client: Client, server: LocalServer
) -> None:
    before = len(server.requests)
    done = dashscope("run", "dashscope/thumbnail", "image=@photo.png", "width=64", "-o", "out/")
    assert (done.code, done.stderr) == (0, "")
    saved = Path(done.stdout.removesuffix("\n"))
    assert saved.parent == Path("out")
    with Image.open(dashscope.folder / saved) as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == (64, 32)
    assert (dashscope.folder / saved).stat().st_size < photo.stat().st_size
    requested = [
        (request.method, request.path, request.status) for request in server.requests[before:]
    ]
    assert ("POST", "/v1/files", 201) in requested
    uploaded = client.files.list()[0]
    assert (uploaded.name, uploaded.content_type) == ("photo.png", "image/png")
    assert uploaded.size == photo.stat().st_size


def test_without_o_the_url_is_printed(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/file", "content=hello")
    with urlopen(done.stdout.strip()) as response:
        assert response.read() == b"hello"


def test_urls_are_printed_one_per_line(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/pictures", "count=3")
    contents = []
    for url in done.stdout.splitlines():
        with urlopen(url) as response:
            contents.append(response.read())
    assert contents == [b"picture 1", b"picture 2", b"picture 3"]


def test_nested_urls_are_printed_as_json(dashscope: CommandLine) -> None:
    output = json.loads(dashscope("run", "test/album", "title=ours").stdout)
    assert output["title"] == "ours"
    with urlopen(output["pages"][0]["scan"]) as response:
        assert response.read() == b"the scan"


def test_o_sets_the_file_name(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/file", "content=hello", "-o", "deep/in/mine.txt")
    assert (done.code, done.stdout) == (0, "deep/in/mine.txt\n")
    assert files_of(dashscope) == {"deep/in/mine.txt": b"hello"}


@pytest.mark.soak
def test_o_may_be_an_existing_folder(dashscope: CommandLine) -> None:
    (dashscope.folder / "out").mkdir()
    done = dashscope("run", "test/file", "content=hello", "-o", "out")
    assert (done.code, done.stdout) == (0, "out/result.txt\n")
    assert files_of(dashscope) == {"out/result.txt": b"hello"}


@pytest.mark.parametrize(
    ("model", "where"), [("test/file", "mine.txt"), ("test/file", "."), ("test/echo", ".")]
)
def test_an_existing_file_is_kept(dashscope: CommandLine, model: str, where: str) -> None:
    for name in ("mine.txt", "result.txt", "output.txt"):
        (dashscope.folder / name).write_bytes(b"precious")
    key = "content" if model == "test/file" else "value"
    done = dashscope("run", model, f"{key}=hello", "-o", where)
    assert (done.code, done.stdout) == (1, "")
    assert "already exists. To replace it, pass --overwrite" in done.stderr
    assert set(files_of(dashscope).values()) == {b"precious"}


@pytest.mark.parametrize("model", ["test/file content=a", "test/echo value=a"])
def test_an_existing_file_is_rejected_before_the_model_runs(
    dashscope: CommandLine, server: LocalServer, model: str
) -> None:
    (dashscope.folder / "mine.txt").write_bytes(b"precious")
    before = len(server.requests)
    done = dashscope("run", *model.split(), "-o", "mine.txt")
    assert done.code == 1
    assert "--overwrite" in done.stderr
    assert not [request for request in server.requests[before:] if request.method == "POST"]


@pytest.mark.parametrize("model", ["test/file", pytest.param("test/echo", marks=pytest.mark.soak)])
def test_overwrite_replaces_an_existing_file(dashscope: CommandLine, model: str) -> None:
    (dashscope.folder / "mine.txt").write_bytes(b"old")
    key = "content" if model == "test/file" else "value"
    done = dashscope("run", model, f"{key}=hello", "-o", "mine.txt", "--overwrite")
    assert (done.code, done.stdout) == (0, "mine.txt\n")
    assert files_of(dashscope)["mine.txt"].strip() == b"hello"


def test_files_with_equal_names_are_numbered(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/pictures", "count=3", "-o", "out/")
    assert done.stdout.splitlines() == [
        "out/picture.txt",
        "out/picture-2.txt",
        "out/picture-3.txt",
    ]
    assert files_of(dashscope) == {
        "out/picture.txt": b"picture 1",
        "out/picture-2.txt": b"picture 2",
        "out/picture-3.txt": b"picture 3",
    }


@pytest.mark.soak
def test_several_files_are_saved_in_a_folder(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/pictures", "count=2", "-o", "out")
    assert done.code == 0
    assert set(files_of(dashscope)) == {"out/picture.txt", "out/picture-2.txt"}


def test_several_files_replace_existing_files_only_with_overwrite(
    dashscope: CommandLine,
) -> None:
    dashscope("run", "test/pictures", "count=2", "-o", "out/")
    (dashscope.folder / "out/picture-2.txt").write_bytes(b"retouched")
    refused = dashscope("run", "test/pictures", "count=2", "-o", "out/")
    assert refused.code == 1
    assert files_of(dashscope)["out/picture-2.txt"] == b"retouched"
    replaced = dashscope("run", "test/pictures", "count=2", "-o", "out/", "--overwrite")
    assert replaced.code == 0
    assert files_of(dashscope) == {
        "out/picture.txt": b"picture 1",
        "out/picture-2.txt": b"picture 2",
    }


@pytest.mark.soak
def test_several_files_cannot_be_saved_as_one(dashscope: CommandLine) -> None:
    (dashscope.folder / "mine.txt").write_bytes(b"precious")
    done = dashscope("run", "test/pictures", "count=2", "-o", "mine.txt")
    assert (done.code, done.stdout) == (1, "")
    assert "mine.txt" in done.stderr
    assert "Traceback" not in done.stderr
    assert files_of(dashscope) == {"mine.txt": b"precious"}


def test_nested_files_are_saved(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/album", "-o", "out/", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        "out/cover.txt",
        "out/scan.txt",
    ]
    assert files_of(dashscope) == {"out/cover.txt": b"the cover", "out/scan.txt": b"the scan"}


def test_a_large_file_is_saved_completely(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/file", "content=0123456789", "times=1000000", "-o", "big.txt")
    assert done.code == 0, done.stderr
    assert (dashscope.folder / "big.txt").stat().st_size == 10_000_000


def test_text_is_saved(dashscope: CommandLine) -> None:
    dashscope("run", "dashscope/hello-world", "text=Ζωή", "-o", "greeting.txt")
    dashscope("run", "test/words", "count=2", "-o", "out/")
    assert files_of(dashscope) == {
        "greeting.txt": "hello Ζωή\n".encode(),
        "out/output.txt": b"word1 word2 \n",
    }


@pytest.mark.soak
def test_any_other_output_is_saved_as_json(dashscope: CommandLine) -> None:
    done = dashscope("run", "test/echo", 'value={"a":[1,2]}', "-o", "out/")
    assert done.stdout == "out/output.json\n"
    assert json.loads(files_of(dashscope)["out/output.json"]) == {"a": [1, 2]}


@pytest.mark.parametrize("model", ["test/file", pytest.param("test/echo", marks=pytest.mark.soak)])
def test_an_unwritable_path_is_reported(dashscope: CommandLine, model: str) -> None:
    (dashscope.folder / "a-file").write_bytes(b"precious")
    key = "content" if model == "test/file" else "value"
    done = dashscope("run", model, f"{key}=hello", "-o", "a-file/b")
    assert (done.code, done.stdout) == (1, "")
    assert "a-file" in done.stderr
    assert "Traceback" not in done.stderr
    assert files_of(dashscope) == {"a-file": b"precious"}


def files_of(dashscope: CommandLine) -> dict[str, bytes]:
    """Return all files below the folder, including hidden ones."""
    return {
        path.relative_to(dashscope.folder).as_posix(): path.read_bytes()
        for path in dashscope.folder.rglob("*")
        if path.is_file()
    }
