"""An agent: a language model that uses models as tools.

Set OPENAI_BASE_URL and OPENAI_API_KEY to a service with OpenAI's chat API, and run
`python agent.py "Greet Alice"`. The tools run on the server of DASHSCOPE_BASE_URL, or on
`dashscope serve` of this machine.
"""

import asyncio
import json
import os
import sys
from typing import Any

import httpx

from dashscope import AsyncClient, AsyncModelFunction, DashscopeError

MODELS = ("dashscope/hello-world", "dashscope/thumbnail")
MOST_STEPS = 10


async def answer(question: str, client: AsyncClient, chat: httpx.AsyncClient) -> str:
    """Ask the language model, and run the tools that it calls, until it answers."""
    functions = [client.use(model, timeout=60) for model in MODELS]
    await asyncio.gather(*(function.load() for function in functions))
    definitions = [function.tool_definition() for function in functions]
    names = [definition["function"]["name"] for definition in definitions]
    tools = dict(zip(names, functions, strict=True))
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    for _ in range(MOST_STEPS):
        message = await complete(chat, messages, definitions)
        messages.append(message)
        calls = message.get("tool_calls") or []
        if not calls:
            return str(message["content"])
        messages += await asyncio.gather(*(run(tools, call) for call in calls))
    raise RuntimeError(f"The language model did not answer within {MOST_STEPS} steps.")


async def complete(
    chat: httpx.AsyncClient, messages: list[dict[str, Any]], tools: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the next message of the language model."""
    body = {
        "model": os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
        "messages": messages,
        "tools": tools,
    }
    response = await chat.post("chat/completions", json=body)
    response.raise_for_status()
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


async def run(tools: dict[str, AsyncModelFunction], call: dict[str, Any]) -> dict[str, Any]:
    """Run a tool. The language model receives errors as text, so that it can try again."""
    try:
        function = tools[call["function"]["name"]]
        output = await function(**json.loads(call["function"]["arguments"]))
    except (DashscopeError, KeyError, TypeError, ValueError) as error:
        output = f"error: {error}"
    return {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(output)}


async def main() -> None:
    headers = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
    async with (
        AsyncClient() as client,
        httpx.AsyncClient(
            base_url=os.environ["OPENAI_BASE_URL"], headers=headers, timeout=120
        ) as chat,
    ):
        print(await answer(" ".join(sys.argv[1:]), client, chat))


if __name__ == "__main__":
    asyncio.run(main())
