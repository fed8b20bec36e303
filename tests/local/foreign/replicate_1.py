# ruff: noqa: PT017 - a script for another environment, which has no pytest
"""replicate 1.0.7 through the operations people use: `python replicate_1.py ORIGIN TOKEN PNG`."""

import asyncio
import io
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from hook import Hook
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import Webhooks

origin, token, png = sys.argv[1:]
client = Client(api_token=token, base_url=origin)


def step(name):
    print("ok:", name, flush=True)


def until(check):
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)


assert client.accounts.current().username == "local"
assert client.hardware.list()[0].sku == "cpu"
step("account, hardware")

assert client.run("dashscope/hello-world", input={"text": "Alice"}) == "hello Alice"
model = client.models.get("dashscope/hello-world")
version = model.latest_version
assert client.run(f"dashscope/hello-world:{version.id}", input={"text": "Bob"}) == "hello Bob"
assert client.run("dashscope/hello-world", input={"text": "Eve"}, wait=False) == "hello Eve"
countdown = client.models.get("dashscope/countdown").latest_version
parts = client.run(f"dashscope/countdown:{countdown.id}", input={"start": 2})
assert list(parts) == ["2\n", "1\n", "0\n"]
parts = client.run(f"dashscope/countdown:{countdown.id}", input={"start": 2}, wait=False)
assert list(parts) == ["2\n", "1\n", "0\n"]
assert client.run("test/sleep", input={"seconds": 1.5}, wait=1) == "slept"
step("run: by model, by version, polling, parts, longer than the wait")

try:
    client.run("test/fails", input={"message": "no luck"})
except ModelError as error:
    assert error.prediction.error == "no luck"
    assert "about to fail" in error.prediction.logs
else:
    raise AssertionError
try:
    client.run("dashscope/hello-world", input={})
except ReplicateError as error:
    assert error.status == 422, error.status
    assert "input.text is required" in error.detail
else:
    raise AssertionError
step("errors")

text = "".join(str(event) for event in client.stream("dashscope/countdown", input={"start": 2}))
assert text == "2\n1\n0\n", repr(text)
prediction = client.predictions.create(version=countdown, input={"start": 1}, stream=True)
events = [event.event.value for event in prediction.stream()]
assert events[-1] == "done"
assert set(events) == {"output", "logs", "done"}
step("stream")

prediction = client.predictions.create(version=countdown, input={"start": 2})
assert prediction.status == "starting"
prediction.wait()
assert prediction.status == "succeeded"
assert prediction.progress.percentage == 1.0
assert prediction.progress.total == 3
step("create, wait, progress")

prediction = client.models.predictions.create(model="test/sleep", input={"seconds": 60})
until(lambda: client.predictions.get(prediction.id).status == "processing")
prediction.cancel()
prediction.reload()
assert prediction.status == "canceled", prediction.status
step("cancel")

with Path(png).open("rb") as image:
    output = client.run("dashscope/thumbnail", input={"image": image, "width": 16})
url = getattr(output, "url", output)
assert url.startswith(origin), url
file = client.files.create(png, metadata={"a": {"b": 1}})
assert file.metadata == {"a": {"b": 1}}, file.metadata
assert file.name == Path(png).name
assert file.size == Path(png).stat().st_size
assert client.files.get(file.id) == file
assert file.id in [listed.id for listed in client.files.list()]
output = client.run("dashscope/thumbnail", input={"image": file.urls["get"], "width": 16})
assert client.files.delete(file.id)
step("files")

made = client.models.create("local", "mine-1", visibility="private", hardware="cpu")
assert made.id == "local/mine-1"
markov = client.models.get("dashscope/markov").latest_version
training = client.trainings.create(
    version=f"dashscope/markov:{markov.id}",
    input={"text": io.BytesIO(b"one two three one two four")},
    destination="local/mine-1",
)
until(lambda: training.reload() or training.status in {"succeeded", "failed"})
assert training.status == "succeeded", training.error
assert "Learned" in training.logs
trained = training.output["version"]
assert client.run(trained, input={"prompt": "one two", "length": 2})
assert training.id in [listed.id for listed in client.trainings.list()]
step("trainings")

deployment = client.deployments.create(
    name="d-1",
    model="local/mine-1",
    version=trained.split(":")[1],
    hardware="cpu",
    min_instances=0,
    max_instances=1,
)
prediction = client.deployments.get("local/d-1").predictions.create(input={"prompt": "one"})
prediction.wait()
assert prediction.status == "succeeded"
assert client.deployments.update("local", "d-1", max_instances=2).current_release.number == 2
assert client.deployments.list().results
assert client.deployments.delete("local", "d-1")
step("deployments")

mine = client.models.get("local/mine-1")
assert [listed.id for listed in mine.versions.list()] == [trained.split(":")[1]]
mine.versions.delete(trained.split(":")[1])
assert client.models.search("hello").results[0].name == "hello-world"
assert client.models.list().results
assert client.models.get("dashscope/hello-world").default_example.output == "hello Alice"
assert client.collections.get("text").models
assert client.collections.list().results
step("models, versions, search, collections")

for number in range(120):
    client.models.predictions.create(model="dashscope/hello-world", input={"text": str(number)})
seen = []
page = client.predictions.list()
seen += [listed.id for listed in page.results]
while page.next:
    page = client.predictions.list(page.next)
    seen += [listed.id for listed in page.results]
assert len(seen) == len(set(seen)) > 120
step("paginate")

hook = Hook()
secret = client.webhooks.default.secret()
client.models.predictions.create(
    model="dashscope/hello-world",
    input={"text": "Ä"},
    webhook=hook.url,
    webhook_events_filter=["completed"],
)
until(lambda: hook.received)
headers, body = hook.received[0]
Webhooks.validate(headers=headers, body=body, secret=secret)
step("webhook")


async def main():
    assert await client.async_run("dashscope/hello-world", input={"text": "A"}) == "hello A"
    stream = await client.async_stream("dashscope/countdown", input={"start": 1})
    assert "".join([str(event) async for event in stream]) == "1\n0\n"
    page = await client.predictions.async_list()
    assert len(page.results) == 100


asyncio.run(main())
step("asynchronous")
