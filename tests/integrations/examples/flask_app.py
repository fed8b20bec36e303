"""Models in a Flask application.

Start it with `flask --app flask_app run`. One sync client serves all threads.
"""

import functools
import json
from collections.abc import Iterator

from flask import Flask, Response, request

from dashscope import Client, ModelError, WebhookVerificationError, webhooks

app = Flask(__name__)
client = Client()

finished: list[str] = []


@app.post("/greet")
def greet() -> Response | tuple[Response, int]:
    try:
        output = client.run("dashscope/hello-world", {"text": request.args["name"]}, timeout=60)
    except ModelError as error:
        return app.json.response(error=error.prediction.error), 502
    return app.json.response(output)


@app.get("/countdown")
def countdown() -> Response:
    """Stream server-sent events. If the browser disconnects, the prediction is canceled."""
    start = request.args.get("start", 5, type=int)

    def events() -> Iterator[str]:
        with client.stream("dashscope/countdown", {"start": start}) as stream:
            for event in stream:
                yield f"data: {json.dumps(str(event))}\n\n"

    return Response(events(), content_type="text/event-stream")


@app.post("/thumbnail")
def thumbnail() -> Response:
    output = client.run("dashscope/thumbnail", {"image": request.get_data(), "width": 64})
    return Response(output.read(), content_type=output.content_type)


@app.post("/start")
def start() -> Response:
    model = client.models.get("dashscope", "hello-world")
    assert model.latest_version is not None
    prediction = client.predictions.create(
        version=model.latest_version.id,
        input={"text": request.args["name"]},
        webhook=f"{request.root_url}hooks/dashscope",
        webhook_events_filter=["completed"],
    )
    return app.json.response(prediction.id)


@functools.cache
def secret() -> str:
    return client.webhooks.default.secret.get().key


@app.post("/hooks/dashscope")
def hook() -> tuple[str, int]:
    try:
        job = webhooks.verify(request.get_data(), request.headers, secret())
    except WebhookVerificationError as error:
        return str(error), 401
    finished.append(job.id)
    return "", 204


@app.get("/finished")
def list_finished() -> Response:
    return app.json.response(finished)
