"""A batch on a Ray cluster.

Start it with `python ray_job.py rows.jsonl results/` on one machine, or with
`ray job submit -- python ray_job.py ...` on a cluster, where both paths must be on storage that all
workers share. Each row is an object such as `{"name": "Alice"}`. After a crash, run the same
command again: it creates no prediction twice and replaces the results. It needs Ray 2.48 or later.
"""

import sys

import ray

from dashscope.integrations.ray import run_model, shared_rate


def main(rows: str, results: str) -> None:
    """Run the model for each row, and write the rows with their outputs as Parquet."""
    dataset = ray.data.read_json(rows, lines=True)
    greeted = run_model(
        dataset,
        "dashscope/hello-world",
        inputs={"text": "name"},
        checkpoint=f"{results.rstrip('/')}/checkpoint/",
        concurrency=64,
        max_rate=shared_rate(50),
        workers=(1, 4),
        timeout=300,
    )
    parts = f"{results.rstrip('/')}/parts/"
    greeted.write_parquet(parts, mode=ray.data.SaveMode.OVERWRITE)


if __name__ == "__main__":
    main(*sys.argv[1:])
