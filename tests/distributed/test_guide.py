"""The examples of the guide that need an engine."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dashscope import guides
from dashscope.local import LocalServer

# The engines emit warnings, and start slowly on a busy machine.
pytestmark = [
    pytest.mark.distributed,
    pytest.mark.filterwarnings("default"),
    pytest.mark.timeout(600),
]

EXAMPLES = re.findall(r"^```py\n(.*?)^```$", guides.read("scaling-out"), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    """A server with the models of the examples."""
    with LocalServer() as server:
        yield server


@pytest.mark.parametrize("code", EXAMPLES, ids=lambda code: code.split()[1].partition(".")[0])
def test_each_example_runs(
    code: str,
    request: pytest.FixtureRequest,
    server: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine = code.split()[1].partition(".")[0]
    pytest.importorskip(engine)
    if engine == "ray":
        request.getfixturevalue("ray_cluster")
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    exec(compile(code, "scaling-out.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "Alice" in printed
    assert list(Path("run").iterdir())
