"""The example of an agent, with a scripted language model."""

from __future__ import annotations

import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from dashscope.local import LocalServer
from tests.cli.process import Program
from tests.integrations.serving import UvicornServer
from tests.integrations.test_examples import EXAMPLES


def called(id: str, arguments: str) -> dict[str, Any]:
    return {
        "id": id,
        "type": "function",
        "function": {"name": "hello_world", "arguments": arguments},
    }


def test_an_agent_uses_models_as_tools(server: LocalServer) -> None:
    received: list[dict[str, Any]] = []

    async def complete(request: Request) -> JSONResponse:
        body = await request.json()
        received.append(body)
        *_, last = body["messages"]
        if last["role"] == "user":
            calls = [called("1", '{"txet": "Alice"}'), called("2", '{"text": "Alice"}')]
            message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": calls}
        else:
            message = {"role": "assistant", "content": f"It says {json.loads(last['content'])}."}
        return JSONResponse({"choices": [{"message": message}]})

    with UvicornServer(
        Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    ) as chat:
        done = Program(
            "agent.py",
            *("Greet", "Alice"),
            cwd=EXAMPLES,
            env={
                "DASHSCOPE_BASE_URL": server.base_url,
                "OPENAI_API_KEY": "secret",
                "OPENAI_BASE_URL": f"{chat.url}/v1",
                "PYTHONPATH": str(EXAMPLES.parents[2]),
            },
        ).finish()
    assert (done.code, done.stdout) == (0, "It says hello Alice.\n"), done.stderr
    first, second = received
    names = [tool["function"]["name"] for tool in first["tools"]]
    assert names == ["hello_world", "thumbnail"]
    assert "text" in first["tools"][0]["function"]["parameters"]["properties"]
    wrong, right = second["messages"][-2:]
    assert "no input 'txet'" in wrong["content"]
    assert json.loads(right["content"]) == "hello Alice"
