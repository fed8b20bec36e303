"""A model as a tool of LangChain."""

from langchain_core.tools import StructuredTool

from dashscope import Client

client = Client()
hello = StructuredTool.from_function(client.use("dashscope/hello-world"))
print(hello.invoke({"text": "Alice"}))
