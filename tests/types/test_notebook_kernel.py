"""In a real notebook, `await` and the sync client work, and values are displayed."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

import dashscope
from dashscope.testing import ModelServer
from tests.examples import evaluate

EXAMPLE = Path(__file__).parents[1] / "integrations" / "examples" / "notebook.ipynb"

CELLS = """
from dashscope import AsyncClient, Client
client = Client()
async_client = AsyncClient()
---
import io
from PIL import Image
file = io.BytesIO()
Image.new("RGB", (20, 10), "teal").save(file, "PNG")
file.seek(0)
await async_client.run("dashscope/thumbnail", {"image": file})
---
client.predictions.list()
---
prediction = await async_client.models.predictions.create(
    "dashscope", "hello-world", input={"text": "<b>Alice</b>"}
)
await async_client.wait(prediction)
---
client.wait(prediction)
---
with client.map("dashscope/hello-world", [{"text": "a"}]) as batch:
    results = list(batch)
batch
---
results[0]
---
hello = client.use("dashscope/hello-world")
hello(text="Eve")
"""


@pytest.mark.soak
def test_a_notebook_runs_and_displays_values(dashscope_server: ModelServer, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.read(EXAMPLE, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(cell) for cell in CELLS.strip().split("\n---\n")]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(dashscope.__file__).parents[1]),
        "IPYTHONDIR": str(tmp_path),
    }
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute(
        env=environment
    )
    shown = [
        output["data"]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    shown = shown[4:]
    picture, page, one, again, batch, result, text = shown
    assert "<img src=" in picture["text/html"]
    assert "<table>" in page["text/html"]
    for found in (one, again):
        assert "hello &lt;b&gt;Alice&lt;/b&gt;" in found["text/html"]
    assert "<table>" in batch["text/html"]
    assert "hello a" in result["text/html"]
    assert text["text/plain"] == "'hello Eve'"


def test_the_cells_of_the_example_run(
    dashscope_server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cells = json.loads(EXAMPLE.read_text(encoding="utf-8"))["cells"]
    namespace: dict[str, Any] = {}

    async def run() -> None:
        for cell in cells:
            if cell["cell_type"] == "code":
                await evaluate("".join(cell["source"]), cell["id"], namespace)

    asyncio.run(run())
    assert namespace["greetings"] == ["hello Alice", "hello Bob", "hello Carol"]
    assert Path("notebook.sqlite").exists()
