"""The rows of a Hugging Face data set in, a data set with the outputs out."""

import datasets

from dashscope import Client

names = datasets.Dataset.from_dict({"text": ["Alice", "Bob"]})
with Client() as client, client.map("dashscope/hello-world", names, ordered=True) as batch:
    outputs = names.add_column("output", [result.output for result in batch])
print(", ".join(outputs["output"]))
