"""A model as a task of a Prefect flow, with Prefect's retries."""

from prefect import flow, task

from dashscope import Client

client = Client()
hello = task(client.use("dashscope/hello-world"), retries=2)


@flow
def greet(names: list[str]) -> list[str]:
    return [hello(text=name) for name in names]


if __name__ == "__main__":
    print(greet(["Alice", "Bob"]))
