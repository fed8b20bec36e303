"""A model as a tool of a pydantic-ai agent."""

from pydantic_ai import Agent, Tool
from pydantic_ai.models.test import TestModel

from dashscope import Client

client = Client()
agent = Agent(TestModel(), tools=[Tool(client.use("dashscope/hello-world"))])
print(agent.run_sync("Greet somebody.").output)
