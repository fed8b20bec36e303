"""Other clients for this API run unchanged against the local server.

Each runs in a separate environment, which the caller names: FOREIGN_REPLICATE_1,
FOREIGN_REPLICATE_2, FOREIGN_LANGCHAIN and FOREIGN_LLAMA_INDEX are Pythons, FOREIGN_NODE_MODULES is
a folder with packages of npm. `noxfile.py` lists the packages of each.
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
    [
        ("FOREIGN_REPLICATE_1", "replicate_1.py"),
        ("FOREIGN_REPLICATE_2", "replicate_2.py"),
        ("FOREIGN_LANGCHAIN", "langchain_llm.py"),
        ("FOREIGN_LLAMA_INDEX", "llama_index_llm.py"),
    ],
)
def test_python_clients(variable: str, script: str, origin: str, png: str) -> None:
    run(os.environ[variable], str(HERE / script), origin, TOKEN, png)


@pytest.mark.parametrize("script", ["replicate.mjs", "ai_sdk.mjs"])
def test_javascript_clients(script: str, origin: str, png: str) -> None:
    modules = os.environ["FOREIGN_NODE_MODULES"]
    run("node", str(HERE / script), modules, origin, TOKEN, png)
