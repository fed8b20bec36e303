"""The public API does not change by accident."""

from __future__ import annotations

import difflib

from tests.unit import public_api


def test_the_public_api_matches_the_file() -> None:
    written = public_api.SNAPSHOT.read_text("utf-8").splitlines()[1:]
    changes = difflib.unified_diff(written, public_api.lines(), "written", "now", n=0, lineterm="")
    message = "\n".join(changes)
    assert not message, (
        f"{message}\n\nIf this is meant: say so in the CHANGELOG, then `nox -s api` writes it down."
    )


def test_the_changelog_has_an_entry_for_each_change() -> None:
    assert public_api.unreleased().startswith("### ")
