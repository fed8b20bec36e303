"""The table of the guide "Your tools": the code of each row works."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

import dashscope
from dashscope import AsyncClient, Client, guides
from tests.servers.fake_server import FakeServer, reply

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = guides.read("tools")
TABLE = GUIDE.partition("\n## ")[0]
FUNCTIONS = GUIDE.partition("\n## Tools that take functions, models and tables\n")[2].partition(
    "\n## "
)[0]
ROW = re.compile(r"^\| (.+?) \| `(.+?)` \| `(tests/.+?)` \|$", re.MULTILINE)
ROWS = ROW.findall(TABLE)
HERE = [row[:2] for row in ROWS if "/tools/" not in row[2]]
"""The rows of installed tools. The tests in `tools/` check the others."""
FUNCTION_ROWS = ROW.findall(FUNCTIONS)

ACCOUNT = {"type": "user", "username": "alice"}


def test_every_row_was_found() -> None:
    assert len(ROWS) == TABLE.count("\n| ") - 1
    assert len(FUNCTION_ROWS) == FUNCTIONS.count("\n| ") - 1
    assert len(HERE) >= 10
    short = README.partition("\n## Your tools\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \|$", short, re.MULTILINE)
    assert len(rows) == short.count("\n| ") - 1
    assert set(rows) <= {row[:2] for row in ROWS + FUNCTION_ROWS}
    assert [row[2] for row in ROWS if not (ROOT / row[2]).exists()] == []


@pytest.mark.parametrize(("tool", "code", "path"), FUNCTION_ROWS)
def test_each_row_of_a_recipe_is_in_the_recipe(tool: str, code: str, path: str) -> None:
    """The recipes themselves run in `nox -s interop`."""
    recipe = (ROOT / path).read_text(encoding="utf-8")
    assert code in recipe.replace('"dashscope/hello-world"', "ref"), tool


async def account(request: Request) -> JSONResponse:
    return JSONResponse(ACCOUNT)


def names(**more: Any) -> dict[str, Any]:
    """Return what the code of the rows uses."""
    return {
        "account": ACCOUNT,
        "app": Starlette(routes=[Route("/v1/account", account)]),
        "auth": httpx.BasicAuth("alice", "secret"),
        "handler": lambda _: httpx.Response(200, json=ACCOUNT),
        "dashscope": dashscope,
        "httpx": httpx,
        "httpx2": httpx2,
        "mock": mock,
        "AsyncClient": AsyncClient,
        "Client": Client,
        "TestClient": TestClient,
        **more,
    }


@pytest.mark.parametrize(("tool", "code"), HERE, ids=[tool for tool, _ in HERE])
async def test_the_code_of_a_row_works(
    tool: str,
    code: str,
    vcr: Any,
    request: pytest.FixtureRequest,
    fake_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DASHSCOPE_BASE_URL", fake_server.base_url)
    fake_server.respond_with(reply(ACCOUNT))
    fixtures = {name: request.getfixturevalue(name) for name in re.findall(r"^\w+_mock", code)}
    result = eval(code, names(vcr=vcr, **fixtures))
    block: AbstractContextManager[Any] = nullcontext()
    if isinstance(result, Client):
        with result as client:
            assert client.account.get().username == "alice"
        return
    if isinstance(result, httpx.AsyncClient):
        async with result as http:
            response = await http.get(f"{fake_server.base_url}/account")
            assert response.json() == ACCOUNT
        return
    if not isinstance(result, AsyncClient):
        block = result if isinstance(result, AbstractContextManager) else block
        result = AsyncClient()
    with block:
        async with result as client:
            assert (await client.account.get()).username == "alice"


def test_httpx_logs_the_query(fake_server: FakeServer, caplog: pytest.LogCaptureFixture) -> None:
    fake_server.respond_with(reply({"next": None, "previous": None, "results": []}))
    with caplog.at_level("INFO"), Client(base_url=fake_server.base_url) as client:
        client.request("GET", "/predictions", params={"source": "web"})
    (record,) = [record for record in caplog.records if record.name == "httpx"]
    assert record.levelname == "INFO"
    assert "/predictions?source=web" in record.getMessage()
    caplog.clear()
    with (
        caplog.at_level("INFO"),
        caplog.at_level("WARNING", "httpx"),
        Client(base_url=fake_server.base_url) as client,
    ):
        client.request("GET", "/predictions")
    assert [record for record in caplog.records if record.name == "httpx"] == []
