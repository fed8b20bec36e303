"""Run pytest inside a test, with our plugin and without other installed plugins."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
