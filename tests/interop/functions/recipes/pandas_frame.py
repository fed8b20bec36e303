"""The rows of a pandas data frame in, a data frame of results out."""

import pandas as pd

from dashscope import Client

names = pd.DataFrame({"text": ["Alice", "Bob"]})
with Client() as client, client.map("dashscope/hello-world", names, ordered=True) as batch:
    results = pd.DataFrame(batch)
print(", ".join(results["output"]))
