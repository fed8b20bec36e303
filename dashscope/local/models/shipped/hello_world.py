"""``dashscope/hello-world``: a minimal model."""

from dashscope.local import model


@model(
    "dashscope/hello-world",
    readme="# hello-world\n\nGreets the name in `text`. Use it to try out a client.\n",
    collections=("shipped", "text"),
    examples=({"input": {"text": "Alice"}, "output": "hello Alice"},),
)
def hello_world(text: str) -> str:
    """Says hello to someone.

    Args:
        text: The name to greet.
    """
    return f"hello {text}"
