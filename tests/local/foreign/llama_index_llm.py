"""LlamaIndex's `Replicate`: `python llama_index_llm.py ORIGIN TOKEN PNG`."""

import os
import sys

origin, token, _ = sys.argv[1:]
os.environ["REPLICATE_BASE_URL"] = origin
os.environ["REPLICATE_API_TOKEN"] = token

from llama_index.core.llms import ChatMessage  # noqa: E402
from llama_index.llms.replicate import Replicate  # noqa: E402


def step(name):
    print("ok:", name, flush=True)


# It sends `temperature` and `max_length` to every model.
llm = Replicate(model="dashscope/markov", additional_kwargs={"length": 5, "seed": 1})
text = llm.complete("the").text
assert len(text.split()) == 5, text
step("complete")

parts = list(llm.stream_complete("the"))
assert "".join(part.delta for part in parts) == text
assert parts[-1].text == text
step("stream")

reply = llm.chat([ChatMessage(role="user", content="the")])
assert len(reply.message.content.split()) == 5
step("chat")
