"""The command that installs an extra works, wherever the package was installed from."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from dashscope._common.installing import install_command

REQUIRES = [
    "httpx>=0.27",
    "click>=8.1; extra == 'cli'",
    'httpx[http2]<1,>=0.27; extra == "http2"',
    "dashscope-client[cli,http2]; extra == 'most'",
]


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend that the package was installed from a URL."""

    def install(direct_url: dict[str, Any] | None) -> None:
        class Ours:
            requires = REQUIRES

            def read_text(self, name: str) -> str | None:
                assert name == "direct_url.json"
                return None if direct_url is None else json.dumps(direct_url)

        monkeypatch.setattr(metadata, "distribution", lambda _: Ours())

    return install


def test_the_command_names_the_folder_or_the_wheel(installed: Any, tmp_path: Path) -> None:
    wheel = tmp_path / "dashscope client.whl"
    wheel.touch()
    installed({"url": wheel.as_uri(), "archive_info": {}})
    assert install_command("cli", "local") == f"pip install '{wheel}[cli,local]'"
    installed({"url": tmp_path.as_uri(), "dir_info": {}})
    assert install_command("cli") == f"pip install '{tmp_path}[cli]'"
    installed({"url": tmp_path.as_uri(), "dir_info": {"editable": True}})
    assert install_command("cli") == f"pip install -e '{tmp_path}[cli]'"


def test_the_command_names_the_libraries_if_the_source_is_unknown(
    installed: Any, tmp_path: Path
) -> None:
    for source in (None, {"url": (tmp_path / "gone.whl").as_uri()}, {"url": "https://a.example/x"}):
        installed(source)
        assert install_command("cli") == "pip install 'click>=8.1'"
        assert install_command("most") == "pip install 'click>=8.1' 'httpx[http2]<1,>=0.27'"


def test_the_command_names_a_clone_if_the_package_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> metadata.Distribution:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert install_command("cli") == "pip install '.[cli]' (in a clone of the repository)"
