"""Clients that others wrote for this API, unchanged, against this server.

Each runs in an environment of its own, which the caller names: FOREIGN_REPLICATE_1 and
FOREIGN_REPLICATE_2 are Pythons with replicate 1.0.7 and 2.0.0b4, FOREIGN_NODE_MODULES is a folder
with npm's replicate 1.4.0 in its node_modules.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from dashscope.local import LocalServer
from tests.local.conftest import MODELS

HERE = Path(__file__).parent
TOKEN = "r8_local"

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with LocalServer(models=MODELS, token=TOKEN) as server:
        yield server.base_url.removesuffix("/v1")


@pytest.fixture
def png(tmp_path: Path) -> str:
    path = tmp_path / "picture.png"
    Image.effect_noise((64, 48), 50).save(path)
    return str(path)


def run(*command: str) -> None:
    keep = {"PATH", "HOME", "LANG", "TMPDIR"}
    environment = {name: value for name, value in os.environ.items() if name in keep}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variable", "script"),
    [("FOREIGN_REPLICATE_1", "replicate_1.py"), ("FOREIGN_REPLICATE_2", "replicate_2.py")],
)
def test_python_clients(variable: str, script: str, origin: str, png: str) -> None:
    run(os.environ[variable], str(HERE / script), origin, TOKEN, png)


def test_the_javascript_client(origin: str, png: str) -> None:
    modules = os.environ["FOREIGN_NODE_MODULES"]
    run("node", str(HERE / "replicate.mjs"), modules, origin, TOKEN, png)
