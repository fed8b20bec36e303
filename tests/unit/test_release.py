"""The changelog and the deprecations of a release."""

from __future__ import annotations

import datetime as dt
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".github" / "release.py"
if not SCRIPT.exists():
    pytest.skip("the sdist does not contain the release script", allow_module_level=True)
spec = importlib.util.spec_from_file_location("release", SCRIPT)
assert spec is not None
assert spec.loader is not None
release = importlib.util.module_from_spec(spec)
spec.loader.exec_module(release)

TODAY = dt.date(2026, 11, 28)
BEFORE = """# Changelog

## [Unreleased]

### Added

- Guides.

## [0.1.0] - 2026-01-01

- The first version.
"""
AFTER = """# Changelog

## [Unreleased]

## [0.2.0] - 2026-11-28

### Added

- Guides.

## [0.1.0] - 2026-01-01

- The first version.
"""


def test_the_unreleased_section_becomes_that_of_the_version() -> None:
    assert release.released(BEFORE, "0.2.0", TODAY) == AFTER
    assert release.released(AFTER, "0.2.0", TODAY) == AFTER
    with pytest.raises(ValueError, match="no unreleased changes"):
        release.released(AFTER, "0.3.0", TODAY)
    assert release.notes(AFTER, "0.2.0") == "Dashscope 0.2.0\n\n### Added\n\n- Guides.\n"


def test_a_deprecated_name_is_removed_in_time() -> None:
    sources = {"a.py": '"`old()` is deprecated since 0.2: use `new()`. It goes in 0.4."'}
    assert release.overdue("0.3.9", sources) == []
    assert release.overdue("0.4.0", sources) == ["a.py: It goes in 0.4"]
    assert release.overdue("1.0.0", sources) == ["a.py: It goes in 0.4"]


def test_this_version_has_no_overdue_deprecations() -> None:
    package = SCRIPT.parents[1] / "dashscope"
    sources = {path.name: path.read_text("utf-8") for path in package.rglob("*.py")}
    assert release.overdue(release.version(), sources) == []


def test_the_addresses_of_the_project_are_in_one_file() -> None:
    root = SCRIPT.parents[1]
    project = (root / "pyproject.toml").read_text("utf-8")
    source = tomllib.loads(project)["project"]["urls"]["Source"]
    owner = re.escape(source.rpartition("/")[0].partition("://")[2])
    assert set(re.findall(rf"https://{owner}/[\w.-]+", project)) == {source}
    texts = [*root.glob("*.md"), *root.glob(".github/**/*.*"), *root.glob("dashscope/**/*.md")]
    texts = [path for path in texts if path.suffix != ".pyc"]
    assert len(texts) > 30
    others = [path for path in texts if re.search(owner, path.read_text("utf-8"))]
    assert others == [], "write a relative link"
