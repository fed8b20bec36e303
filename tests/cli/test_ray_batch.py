"""`dashscope batch --ray`, without Ray: which files it reads, and what it makes of their rows."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from dashscope import FileError
from dashscope.cli.inputs import InputType
from dashscope.cli.ray_batch import RowInputs, _files, _has_results
from tests.variants import variants


@variants(
    ("pattern", "names"),
    [
        ("*.csv", ["x.csv"]),
        ("a/*.csv", ["a/y.csv"]),
        ("a/[y-z]*", ["a/y.csv"]),
        ("a/*/*.csv", ["a/b/z.csv"]),
        ("x.csv", "x.csv"),
    ],
)
def test_a_pattern_names_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str, names: list[str] | str
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True, exist_ok=True)
    for name in ("x.csv", "a/y.csv", "a/b/z.csv", "a/no.txt"):
        (tmp_path / name).write_text("text\n")
    monkeypatch.chdir(tmp_path)
    expected = f"{tmp_path}/{names}" if isinstance(names, str) else None
    for place in ("", f"{tmp_path}/", f"{tmp_path.as_uri()}/"):
        _, found = _files(place + pattern)
        assert found == (expected or [f"{tmp_path}/{name}" for name in names])
    with pytest.raises(FileError, match=r"none/\*\.csv matches no file"):
        _files("none/*.csv")


def test_results_are_not_overwritten_by_accident(tmp_path: Path) -> None:
    filesystem, _ = _files(str(tmp_path))
    folder, record = tmp_path / "out", tmp_path / "out.ray-checkpoint"

    def has_results(*, overwrite: bool = False, resumes: bool = False) -> bool:
        places = (str(folder), str(record))
        return _has_results(filesystem, *places, overwrite=overwrite, resumes=resumes)

    assert not has_results()
    folder.mkdir()
    (folder / "0.parquet").touch()
    assert has_results()
    assert has_results(resumes=True)
    record.mkdir()
    assert not has_results(resumes=True)
    assert not has_results(overwrite=True)
    assert list(folder.iterdir()) == []
    assert not record.exists()


def test_cells_have_the_types_of_the_schema() -> None:
    known = {
        "text": InputType(frozenset({"string"})),
        "count": InputType(frozenset({"integer"})),
        "image": InputType(frozenset({"string"})),
    }
    base, files = {"count": 1}, frozenset({"image"})
    csv = pickle.loads(pickle.dumps(RowInputs(base, known, files, is_csv=True)))
    assert csv({"id": "7", "text": "5", "count": "2", "image": "a.png"}) == {
        "text": "5",
        "count": 2,
        "image": Path("a.png"),
    }
    assert csv({"text": "", "count": None}) == base
    table = RowInputs({}, known, frozenset(), is_csv=False)
    assert table({"text": "", "count": 2.0}) == {"text": "", "count": 2}
    assert RowInputs({}, {}, frozenset(), is_csv=False)({"any": 1}) == {"any": 1}
