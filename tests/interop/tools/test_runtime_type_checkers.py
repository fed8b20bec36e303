"""The import hooks of beartype and typeguard check the whole package without errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOOKS = {
    "typeguard": """
from typeguard import install_import_hook

install_import_hook("dashscope")
""",
    "beartype": """
import warnings

from beartype import BeartypeConf
from beartype.claw import beartype_package
from beartype.roar import (
    BeartypeDecorHintPep585DeprecationWarning,
    BeartypeDecorHintPep613DeprecationWarning,
)

warnings.simplefilter("error")
# `TypeAlias` is deprecated since Python 3.12, and httpcore uses `typing.Tuple`.
warnings.simplefilter("ignore", BeartypeDecorHintPep613DeprecationWarning)
warnings.simplefilter("ignore", BeartypeDecorHintPep585DeprecationWarning)
# As in PEP 484, an `int` is a `float`.
beartype_package("dashscope", conf=BeartypeConf(is_pep484_tower=True))
""",
}
PROGRAM = str(Path(__file__).with_name("checked_program.py"))


@pytest.mark.parametrize("hook", HOOKS)
def test_the_package_works_under_an_import_hook(hook: str) -> None:
    code = f"{HOOKS[hook]}\nimport runpy\nrunpy.run_path({PROGRAM!r})"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert ended.stdout == "canceled\n"
