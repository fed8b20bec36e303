"""Models in Celery tasks.

Start a worker with `celery -A celery_app worker`, then run `python celery_app.py Alice Bob`.

One client at module level serves all processes of the worker. Each process opens its own
connections. When Celery's soft time limit passes, `run()` cancels the prediction.
"""

import os
import sys
import tempfile
from pathlib import Path

from celery import Celery

from dashscope import Client, RateLimitError

# The broker is a folder, so the example needs no server. Use Redis or RabbitMQ in production.
folder = Path(os.environ.get("CELERY_FOLDER", tempfile.gettempdir()), "dashscope-celery")
for name in ("messages", "control", "results"):
    (folder / name).mkdir(parents=True, exist_ok=True)

app = Celery("celery_app", broker="filesystem://", backend=(folder / "results").as_uri())
app.conf.broker_transport_options = {
    "data_folder_in": str(folder / "messages"),
    "data_folder_out": str(folder / "messages"),
    "control_folder": str(folder / "control"),
}
client = Client()


@app.task(soft_time_limit=60, autoretry_for=(RateLimitError,), max_retries=3, retry_backoff=True)
def greet(name: str) -> str:
    output: str = client.run("dashscope/hello-world", {"text": name})
    return output


if __name__ == "__main__":
    results = [greet.delay(name) for name in sys.argv[1:]]
    for result in results:
        print(result.get(timeout=60))
