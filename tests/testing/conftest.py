"""Run pytest inside a test, with our plugin and without other installed plugins."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from _pytest.pytester import SysModulesSnapshot


class OfTests(SysModulesSnapshot):
    """Forgets the test modules of a run in this process, and no module that it imported."""

    def __init__(self, preserve: Callable[[str], bool] | None = None) -> None:
        super().__init__(lambda name: not name.startswith(("test_", "conftest")))


@pytest.fixture(autouse=True)
def _no_other_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr("_pytest.pytester.SysModulesSnapshot", OfTests)
