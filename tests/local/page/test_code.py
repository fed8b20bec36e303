"""The code examples on the pages do the same as the form."""

import contextlib
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import pytest
from attrs import evolve

from dashscope.local import LocalServer
from dashscope.local.pages.code import CODE_LIMIT, DEFAULT_BASE_URL, Call, snippets
from tests.cli.command import run_here
from tests.local.page.conftest import Parsed

NASTY = "a \"b\" 'c' $d `e` \\ é\n</script> #{f} ${g} @x"


def call(base_url: str, model: str = "test/echo", **inputs: Any) -> Call:
    return Call(
        model=model,
        version=None,
        inputs=inputs,
        base_url=base_url,
        needs_token=False,
        streams=False,
    )


def code(of: Call) -> dict[str, str]:
    return {snippet.name: snippet.text for snippet in snippets(of)}


def run_python(text: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, "snippet", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


def run_shell(text: str) -> str:
    done = subprocess.run(["sh", "-c", text], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


def run_command(text: str) -> str:
    """Run a `dashscope` command in this process, with the arguments that a shell passes."""
    printer = 'dashscope() { printf "%s\\0" "$DASHSCOPE_BASE_URL" "$@"; }\n'
    address, *arguments, _ = run_shell(printer + text).split("\0")
    with mock.patch.dict(os.environ, {"DASHSCOPE_BASE_URL": address}):
        done = run_here(*arguments)
    assert done.code == 0, done.stderr
    return done.stdout


class TestCode:
    def test_the_example_runs(self, server: LocalServer) -> None:
        value = {"text": NASTY, "list": [1, 2.5, None, True], "long": ["x" * 40] * 3}
        made = code(call(server.base_url, value=value))
        for name in ("python", "python-async"):
            assert run_python(made[name]) == f"{value}\n"
        assert json.loads(run_shell(made["curl"]))["output"] == value
        assert json.loads(run_command(made["command"])) == value

    def test_the_streaming_example_streams(self, server: LocalServer) -> None:
        made = code(evolve(call(server.base_url, "test/parts", count=3), streams=True))
        for name in ("python", "python-async"):
            assert run_python(made[name]) == "0 1 2 "
        assert run_command(made["command"]).strip() == "0 1 2"
        assert "for await" in made["javascript"]

    def test_the_example_of_an_older_version_names_the_version(
        self, server: LocalServer, http: httpx.Client
    ) -> None:
        version = http.get("/models/test/echo").json()["latest_version"]["id"]
        made = code(evolve(call(server.base_url, value="v"), version=version))
        assert run_python(made["python"]) == "v\n"
        assert json.loads(run_shell(made["curl"]))["output"] == "v"
        assert all(f"test/echo:{version}" in text for text in made.values())

    def test_the_example_of_a_deployment_runs(
        self, server: LocalServer, http: httpx.Client
    ) -> None:
        version = http.get("/models/test/echo").json()["latest_version"]["id"]
        body = {
            "name": "coded", "model": "test/echo", "version": version, "hardware": "cpu",
            "min_instances": 0, "max_instances": 1,
        }  # fmt: skip
        assert http.post("/deployments", json=body).status_code == 200
        made = code(evolve(call(server.base_url, value=NASTY), deployment="local/coded"))
        for name in ("python", "python-async"):
            assert run_python(made[name]) == f"{NASTY}\n"
        assert json.loads(run_shell(made["curl"]))["output"] == NASTY
        assert run_command(made["command"]) == f"{NASTY}\n"
        assert "deployments.predictions.create" in made["javascript"]

    def test_the_example_of_the_latest_version_names_the_model(self) -> None:
        data = "data:image/png;base64," + "A" * 1000
        made = code(evolve(call(DEFAULT_BASE_URL, image=data, n=1), needs_token=True))
        for name, text in made.items():
            assert "base64" not in text
            assert len(text.splitlines()) <= 14, name
        assert 'Path("input-file")' in made["python"]
        assert made["command"] == "dashscope run test/echo image=@input-file n=1\n"
        assert "Client()" in made["python"]
        for name in ("javascript", "fetch", "curl"):
            assert "DASHSCOPE_API_TOKEN" in made[name]
        assert snippets(call(DEFAULT_BASE_URL, text="x" * CODE_LIMIT)) == []

    @pytest.mark.skipif(not shutil.which("node"), reason="needs node")
    def test_the_example_is_valid_javascript(self, tmp_path: Path) -> None:
        for changes in ({"streams": False}, {"streams": True}, {"deployment": "local/coded"}):
            made = code(evolve(call(DEFAULT_BASE_URL, value=NASTY), **changes))
            for name in ("javascript", "fetch"):
                file = tmp_path / f"{name}.mjs"
                file.write_text(made[name])
                subprocess.run(["node", "--check", str(file)], check=True, timeout=60)

    def test_the_example_contains_the_values_of_the_form(
        self, web: httpx.Client, server: LocalServer
    ) -> None:
        path = "/web/models/test/typed/code"
        response = web.post(
            path, data={"input:text": NASTY, "input:count": "3", "input:ratio": "x"}
        )
        parsed = Parsed(response)
        # Defaults and invalid values are omitted.
        assert f'"text": {json.dumps(NASTY, ensure_ascii=False)}' in parsed.text
        assert "count" not in parsed.text
        assert "ratio" not in parsed.text
        page = Parsed(web.get("/web/models/dashscope/hello-world"))
        assert 'client.run("dashscope/hello-world", {"text": "Alice"})' in page.text
        assert server.base_url in page.text
