"""LangChain's `Replicate`: `python langchain_llm.py ORIGIN TOKEN PNG`."""

import asyncio
import os
import sys

origin, token, _ = sys.argv[1:]
os.environ["REPLICATE_BASE_URL"] = origin
os.environ["REPLICATE_API_TOKEN"] = token

from langchain_community.llms import Replicate  # noqa: E402


def step(name):
    print("ok:", name, flush=True)


kwargs = {"length": 5, "seed": 1}
llm = Replicate(model="dashscope/markov", model_kwargs=kwargs)
text = llm.invoke("the")
assert len(text.split()) == 5, text
assert asyncio.run(llm.ainvoke("the")) == text
assert len(llm.batch(["the", "the"])) == 2
step("invoke, ainvoke, batch")

streaming = Replicate(model="dashscope/markov", model_kwargs=kwargs, streaming=True)
assert streaming.invoke("the") == text
assert "".join(streaming.stream("the")) == text
step("stream")

word = text.split()[2]
assert word not in llm.invoke("the", stop=[word])
step("stop")

failing = Replicate(model="test/fails", model_kwargs={})
try:
    failing.invoke("no luck today")
except RuntimeError as error:
    assert "no luck today" in str(error)  # noqa: PT017 (a script for another environment)
else:
    raise AssertionError
step("errors")

hello = Replicate(model="dashscope/hello-world", model_kwargs={"temperature": 0.5, "max_tokens": 9})
assert hello.invoke("Alice") == "hello Alice"
step("options that the model does not have")
