"""Evidence for scaling out: correctness under kills, cost and speed of `map()` and `udf()`."""
