"""Text models for everything that calls models with LiteLLM."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import litellm
from litellm.types.utils import GenericStreamingChunk, ModelResponse

from dashscope import AsyncClient, Client


class Models(litellm.CustomLLM):
    """Calls a model with the last message as its `prompt`."""

    def __init__(self, client: Client, async_client: AsyncClient) -> None:
        super().__init__()
        self.client, self.async_client = client, async_client

    def completion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse:
        output = self.client.run(model, _input(messages, call))
        return _response(call, output)

    async def acompletion(self, model: str, messages: list[Any], **call: Any) -> ModelResponse:
        output = await self.async_client.run(model, _input(messages, call))
        return _response(call, output)

    def streaming(
        self, model: str, messages: list[Any], **call: Any
    ) -> Iterator[GenericStreamingChunk]:
        with self.client.stream(model, _input(messages, call)) as stream:
            for event in stream:
                yield _chunk(str(event))
        yield _chunk("", is_last=True)

    async def astreaming(
        self, model: str, messages: list[Any], **call: Any
    ) -> AsyncIterator[GenericStreamingChunk]:
        async with self.async_client.stream(model, _input(messages, call)) as stream:
            async for event in stream:
                yield _chunk(str(event))
        yield _chunk("", is_last=True)


def _input(messages: list[Any], call: dict[str, Any]) -> dict[str, Any]:
    options = {name: value for name, value in call["optional_params"].items() if name != "stream"}
    return {"prompt": messages[-1]["content"], **options}


def _response(call: dict[str, Any], output: Any) -> ModelResponse:
    response: ModelResponse = call["model_response"]
    response.choices[0].message.content = "".join(output)
    return response


def _chunk(text: str, *, is_last: bool = False) -> GenericStreamingChunk:
    return {
        "text": text,
        "is_finished": is_last,
        "finish_reason": "stop" if is_last else "",
        "usage": None,
        "index": 0,
        "tool_use": None,
    }


handler = Models(Client(), AsyncClient())
litellm.custom_provider_map = [{"provider": "models", "custom_handler": handler}]
MODEL = "models/dashscope/markov"
