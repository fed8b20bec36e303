"""The rows of a Polars data frame in, a data frame of results out."""

import polars as pl

from dashscope import Client

names = pl.DataFrame({"text": ["Alice", "Bob"]})
with Client() as client, client.map("dashscope/hello-world", names, ordered=True) as batch:
    results = pl.DataFrame(list(batch))
print(", ".join(results["output"]))
