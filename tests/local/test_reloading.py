"""Models that are edited while the server runs."""

import itertools
import os
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashscope.local import LocalServer, maintenance
from tests.local.page.conftest import Parsed
from tests.waiting import wait_until

SAYS = """
from dashscope.local import model
from helper import GREETING

@model("me/says")
def says(name: str = "you") -> str:
    return f"{GREETING} {name}"
"""


@pytest.fixture(autouse=True)
def _check_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "RELOAD_INTERVAL", 0.02)


EDITS = itertools.count(int(time.time()) * 10**9)


def write(path: Path, text: str) -> None:
    """Replace a file atomically, so that the server never reads half of it.

    All edits have the same time in seconds, which is what Python's bytecode files contain.
    """
    partial = path.with_suffix(".new")
    partial.write_text(text)
    edited = next(EDITS)
    os.utime(partial, ns=(edited, edited))
    partial.replace(path)


def test_an_edit_changes_the_model_and_an_error_is_shown_until_it_is_fixed(tmp_path: Path) -> None:
    file, helper = tmp_path / "models.py", tmp_path / "helper.py"
    file.write_text("def broken(:\n")
    with (
        LocalServer(file, data=tmp_path / "data", reload=True) as server,
        httpx.Client(base_url=server.base_url.removesuffix("v1"), timeout=30) as http,
    ):

        def problem() -> str:
            page = http.get("web/")
            shown = any(
                attributes.get("id") == "models-problem" for _, attributes in Parsed(page).elements
            )
            return Parsed(page).text if shown else ""

        def says(**inputs: Any) -> Any:
            path = "v1/models/me/says/predictions"
            response = http.post(path, json={"input": inputs}, headers={"Prefer": "wait"})
            return response.json().get("output")

        assert "SyntaxError: invalid syntax" in problem()
        assert "def broken(:" in problem()
        assert "dashscope/local" not in problem()
        assert says() is None

        # The missing module is created later.
        write(file, SAYS)
        wait_until(lambda: "No module named 'helper'" in problem())
        write(helper, "GREETING = 'hello'")
        wait_until(lambda: says() == "hello you")
        assert not problem()

        # The source of the model is unchanged, but a worker has loaded the old module.
        versions = http.get("v1/models/me/says/versions").json()["results"]
        write(helper, "GREETING = 'howdy'")
        wait_until(lambda: says() == "howdy you")
        assert http.get("v1/models/me/says/versions").json()["results"] == versions

        with http.stream("GET", "web/events") as events:
            lines = events.iter_lines()
            next(lines)
            write(helper, "1 / 0")
            wait_until(lambda: "ZeroDivisionError" in problem())
            assert any("changed" in line for line in lines)
        write(helper, "GREETING = 'hello'")
        write(file, SAYS.replace("me/says", "Bad Name"))
        wait_until(lambda: "owner/name" in problem())
        assert says(name="again").endswith(" again")

        write(file, SAYS.replace('"you"', '"everybody"'))
        wait_until(lambda: not problem())
        assert says() == "hello everybody"
        latest = http.get("v1/models/me/says").json()["latest_version"]
        assert latest["id"] != versions[0]["id"]


def test_the_error_is_shown_only_after_sign_in(tmp_path: Path) -> None:
    file = tmp_path / "models.py"
    file.write_text("1 / 0")
    with LocalServer(file, reload=True, token="secret") as server:
        page = server.base_url.replace("/v1", "/web/sign-in")
        assert "ZeroDivisionError" not in httpx.get(page).text
        headers = {"Authorization": "Bearer secret"}
        assert "ZeroDivisionError" in httpx.get(page.replace("sign-in", ""), headers=headers).text


def test_reload_requires_a_file() -> None:
    with pytest.raises(ValueError, match="Only a models file can be reloaded"):
        LocalServer(reload=True)
