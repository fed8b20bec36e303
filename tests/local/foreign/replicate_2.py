# ruff: noqa: PT017 - a script for another environment, which has no pytest
"""replicate 2.0.0b4 through the operations people use: `python replicate_2.py ORIGIN TOKEN PNG`."""

import asyncio
import base64
import hashlib
import hmac
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import httpx
import replicate
from hook import Hook
from replicate.exceptions import ModelError

origin, token, png = sys.argv[1:]
base = f"{origin}/v1"
client = replicate.Replicate(bearer_token=token, base_url=base)


def step(name):
    print("ok:", name, flush=True)


def until(check):
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end
        time.sleep(0.05)


assert client.account.get().username == "local"
assert client.hardware.list()[0].sku == "cpu"
step("account, hardware")

assert client.run("dashscope/hello-world", input={"text": "Alice"}) == "hello Alice"
version = client.models.get(model_owner="dashscope", model_name="hello-world").latest_version
version_id = version["id"] if isinstance(version, dict) else version.id
assert client.run(f"dashscope/hello-world:{version_id}", input={"text": "Bob"}) == "hello Bob"
assert client.run("dashscope/hello-world", input={"text": "Eve"}, wait=False) == "hello Eve"
assert list(client.run("dashscope/countdown", input={"start": 1})) == ["1\n", "0\n"]
assert client.run("test/sleep", input={"seconds": 1.5}, wait=1) == "slept"
step("run: by model, by version, polling, parts, longer than the wait")

try:
    client.run("test/fails", input={"message": "no luck"})
except ModelError as error:
    assert error.prediction.error == "no luck"
else:
    raise AssertionError
try:
    client.run("dashscope/hello-world", input={})
except replicate.UnprocessableEntityError as error:
    assert "input.text is required" in str(error)
else:
    raise AssertionError
try:
    client.predictions.get(prediction_id="nope")
except replicate.NotFoundError:
    pass
else:
    raise AssertionError
step("errors")


os.environ["REPLICATE_API_TOKEN"] = token
os.environ["REPLICATE_BASE_URL"] = base
hello = replicate.use("dashscope/hello-world")
assert hello(text="Alice") == "hello Alice"
countdown = replicate.use("dashscope/countdown", streaming=True)
assert list(countdown(start=2, delay=0)) == ["2\n", "1\n", "0\n"]
joined = replicate.use("dashscope/countdown")
assert joined(start=2) == "2\n1\n0\n"
with Path(png).open("rb") as image:
    uploaded = client.files.create(content=("a.png", image, "image/png"), metadata={"a": 1})
thumbnail = replicate.use("dashscope/thumbnail")
small = thumbnail(image=uploaded.urls.get, width=16)
assert Path(small).stat().st_size > 50
step("use: text, parts, joined, file")


prediction = client.models.predictions.create(
    model_owner="dashscope", model_name="countdown", input={"start": 1}, stream=True
)
body = httpx.get(prediction.urls.stream).text
assert body.endswith("-end\ndata: {}\n\n")
step("stream's URL without a token")

prediction = client.predictions.create(version=version_id, input={"text": "x"})
assert prediction.status == "starting"
assert client.predictions.wait(prediction.id).output == "hello x"
prediction = client.models.predictions.create(
    model_owner="test", model_name="sleep", input={"seconds": 60}, cancel_after="1m"
)
until(lambda: client.predictions.get(prediction_id=prediction.id).status == "processing")
client.predictions.cancel(prediction_id=prediction.id)
assert client.predictions.get(prediction_id=prediction.id).status == "canceled"
step("create, wait, cancel")

assert uploaded.metadata == {"a": 1} or uploaded.metadata == {"a": "1"}, uploaded.metadata
assert client.files.get(file_id=uploaded.id).id == uploaded.id
assert uploaded.id in [file.id for file in client.files.list()]
nested = client.files.create(
    content=b"abc", filename="n.txt", type="text/plain", metadata={"n": {"m": "x"}, "l": ["1", "2"]}
)
assert nested.metadata == {"n": {"m": "x"}, "l": ["1", "2"]}, nested.metadata
assert nested.content_type == "text/plain"
client.files.delete(file_id=uploaded.id)
step("files")

client.models.create(owner="local", name="mine-2", visibility="private", hardware="cpu")
markov = client.models.get(model_owner="dashscope", model_name="markov").latest_version
markov_id = markov["id"] if isinstance(markov, dict) else markov.id
text = client.files.create(content=b"one two three one two four", filename="t.txt")
training = client.trainings.create(
    model_owner="dashscope",
    model_name="markov",
    version_id=markov_id,
    destination="local/mine-2",
    input={"text": text.urls.get},
)
until(lambda: client.trainings.get(training_id=training.id).status in {"succeeded", "failed"})
training = client.trainings.get(training_id=training.id)
assert training.status == "succeeded", training.error
trained = training.output.version
assert list(client.run(trained, input={"prompt": "one two", "length": 2}))
assert training.id in [listed.id for listed in client.trainings.list()]
step("trainings")

client.deployments.create(
    name="d-2",
    model="local/mine-2",
    version=trained.split(":")[1],
    hardware="cpu",
    min_instances=0,
    max_instances=1,
)
prediction = client.deployments.predictions.create(
    deployment_owner="local", deployment_name="d-2", input={"prompt": "one"}, prefer="wait"
)
assert prediction.status == "succeeded"
changed = client.deployments.update(
    deployment_owner="local", deployment_name="d-2", max_instances=2
)
assert changed.current_release.number == 2
assert [listed.name for listed in client.deployments.list()] == ["d-2"]
client.deployments.delete(deployment_owner="local", deployment_name="d-2")
step("deployments")

found = client.models.search(body="hello")
assert next(iter(found)).name == "hello-world"
assert client.models.readme.get(model_owner="dashscope", model_name="hello-world")
examples = client.models.examples.list(model_owner="dashscope", model_name="hello-world")
assert examples is not None
assert list(client.models.versions.list(model_owner="local", model_name="mine-2"))
client.models.versions.delete(
    model_owner="local", model_name="mine-2", version_id=trained.split(":")[1]
)
client.models.delete(model_owner="local", model_name="mine-2")
assert client.search(query="hello").models
assert client.collections.get(collection_slug="text").models
step("models, versions, search, collections")

for number in range(120):
    client.models.predictions.create(
        model_owner="dashscope", model_name="hello-world", input={"text": str(number)}
    )
seen = [listed.id for listed in client.predictions.list()]
assert len(seen) == len(set(seen)) > 120, len(seen)
step("paginate")

hook = Hook()
secret = client.webhooks.default.secret.get().key
client.models.predictions.create(
    model_owner="dashscope",
    model_name="hello-world",
    input={"text": "x"},
    webhook=hook.url,
    webhook_events_filter=["completed"],
)
until(lambda: hook.received)

headers, body = hook.received[0]
signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{body}".encode()
digest = hmac.new(base64.b64decode(secret.split("_")[1]), signed, hashlib.sha256).digest()
assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
step("webhook")


async def main():
    async with replicate.AsyncReplicate(bearer_token=token, base_url=base) as asynchronous:
        assert await asynchronous.run("dashscope/hello-world", input={"text": "A"}) == "hello A"
        first = await asynchronous.predictions.list()
        assert len([item async for item in first]) > 120


asyncio.run(main())
step("asynchronous")
