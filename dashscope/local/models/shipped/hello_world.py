"""``dashscope/hello-world``: the smallest model."""

from dashscope.local import model


@model(
    "dashscope/hello-world",
    readme="# hello-world\n\nGreets whoever `text` names. The model to try a client with.\n",
    collections=("shipped", "text"),
    examples=({"input": {"text": "Alice"}, "output": "hello Alice"},),
)
def hello_world(text: str) -> str:
    """Says hello to someone.

    Args:
        text: Whom to greet.
    """
    return f"hello {text}"
