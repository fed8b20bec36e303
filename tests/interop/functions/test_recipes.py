"""The recipes in `recipes/` run unchanged."""

from __future__ import annotations

import asyncio
import runpy
from pathlib import Path
from typing import Any

import pytest

from dashscope.local import LocalServer

RECIPES = Path(__file__).parent / "recipes"

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture(autouse=True)
def _here(server: LocalServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DASHSCOPE_BASE_URL", server.base_url)
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    monkeypatch.chdir(tmp_path)


def run(name: str) -> dict[str, Any]:
    return runpy.run_path(str(RECIPES / f"{name}.py"))


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("langchain_tool", "hello Alice"),
        ("pydantic_ai_tool", '{"hello_world":"hello a"}'),
        ("mcp_tool", "hello Alice"),
        ("pandas_frame", "hello Alice, hello Bob"),
        ("polars_frame", "hello Alice, hello Bob"),
        ("datasets_rows", "hello Alice, hello Bob"),
    ],
)
def test_other_recipes_run(name: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(name)
    assert capsys.readouterr().out.strip() == printed


def test_gradio() -> None:
    assert run("gradio_app")["app"]("Alice") == "hello Alice"


def test_streamlit() -> None:
    from streamlit.testing.v1 import AppTest

    page = AppTest.from_file(str(RECIPES / "streamlit_app.py"), default_timeout=30).run()
    page.text_input[0].input("Alice").run()
    assert [shown.value for shown in page.markdown] == ["hello Alice"]
    assert not page.exception


def test_litellm() -> None:
    recipe = run("litellm_provider")
    litellm, model = recipe["litellm"], recipe["MODEL"]
    messages = [{"role": "user", "content": "the"}]
    call: dict[str, Any] = {"model": model, "messages": messages, "length": 3, "seed": 1}
    text = litellm.completion(**call).choices[0].message.content
    assert len(text.split()) == 3
    parts = [
        part.choices[0].delta.content or "" for part in litellm.completion(**call, stream=True)
    ]
    assert "".join(parts).split() == text.split()

    async def check() -> None:
        response = await litellm.acompletion(**call)
        assert response.choices[0].message.content == text
        stream = await litellm.acompletion(**call, stream=True)
        parts = [part.choices[0].delta.content or "" async for part in stream]
        assert "".join(parts).split() == text.split()
        await recipe["handler"].async_client.aclose()

    asyncio.run(check())
    recipe["handler"].client.close()


def test_prefect() -> None:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=90):
        assert run("prefect_flow")["greet"](["Alice", "Bob"]) == ["hello Alice", "hello Bob"]
