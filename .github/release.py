"""Prepare a release: check deprecations, and write the changelog's section. See `nox -s release`.

python .github/release.py NOTES
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHANGELOG = ROOT / "CHANGELOG.md"
UNRELEASED = "## [Unreleased]"


def version() -> str:
    """Return the version of the package, without importing it."""
    text = (ROOT / "dashscope" / "_config.py").read_text("utf-8")
    match = re.search(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.MULTILINE)
    assert match is not None, "dashscope/_config.py has no __version__"
    return match[1]


def overdue(version: str, sources: dict[str, str]) -> list[str]:
    """Return where a deprecated name is left that a version has to remove."""
    now = _minor(version)
    return [
        f"{name}: {match[0]}"
        for name, text in sources.items()
        for match in re.finditer(r"It goes in (\d+\.\d+)", text)
        if _minor(match[1]) <= now
    ]


def released(text: str, version: str, date: dt.date) -> str:
    """Return a changelog in which the unreleased changes are those of a version.

    A changelog that has a section for the version stays as it is.

    Raises:
        ValueError: There is nothing to release.
    """
    if f"\n## [{version}]" in text:
        return text
    before, _, after = text.partition(UNRELEASED)
    changes, separator, older = after.partition("\n## [")
    if not changes.strip():
        raise ValueError("CHANGELOG.md lists no unreleased changes")
    return (
        f"{before}{UNRELEASED}\n\n## [{version}] - {date.isoformat()}\n\n{changes.strip()}\n"
        f"{separator}{older}"
    )


def notes(text: str, version: str) -> str:
    """Return the changes of a version, for the tag."""
    section = text.partition(f"\n## [{version}]")[2].partition("\n## [")[0]
    return f"Dashscope {version}\n\n{section.partition(chr(10))[2].strip()}\n"


def _minor(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def main(target: Path) -> None:
    """Prepare the release, and write its notes to a file."""
    sources = {
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in (ROOT / "dashscope").rglob("*.py")
    }
    left = overdue(version(), sources)
    if left:
        sys.exit(f"Version {version()} has to remove these names:\n" + "\n".join(left))
    text = released(CHANGELOG.read_text("utf-8"), version(), dt.datetime.now(dt.UTC).date())
    CHANGELOG.write_text(text, "utf-8")
    target.write_text(notes(text, version()), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
