"""Models in a FastAPI application.

Start it with `uvicorn fastapi_app:app`. The client reads DASHSCOPE_BASE_URL and
DASHSCOPE_API_TOKEN. Without an address, it uses `dashscope serve` on this machine.
"""

from typing import Annotated

from fastapi import Depends, FastAPI, Request, UploadFile

from dashscope import Prediction, Training
from dashscope.integrations.fastapi import (
    ClientDep,
    EventStreamResponse,
    FileOutputResponse,
    cancel_on_disconnect,
    install_error_handlers,
    lifespan,
    verified_webhook,
)

app = FastAPI(lifespan=lifespan())
install_error_handlers(app)

finished: list[str] = []


@app.post("/greet")
async def greet(name: str, request: Request, client: ClientDep) -> str:
    """Run a model. If the browser disconnects, the prediction is canceled."""
    async with cancel_on_disconnect(request):
        output: str = await client.run("dashscope/hello-world", {"text": name}, timeout=60)
        return output


@app.get("/countdown")
async def countdown(client: ClientDep, start: int = 5) -> EventStreamResponse:
    """Stream server-sent events. Disconnecting cancels the prediction here too."""
    return EventStreamResponse(client.stream("dashscope/countdown", {"start": start}))


@app.post("/thumbnail")
async def thumbnail(request: Request, client: ClientDep, width: int = 64) -> FileOutputResponse:
    """Take an image, and return a smaller one."""
    image = await request.body()
    async with cancel_on_disconnect(request):
        output = await client.run("dashscope/thumbnail", {"image": image, "width": width})
    return FileOutputResponse(output, content_disposition_type="inline")


@app.post("/uploaded-thumbnail")
async def uploaded_thumbnail(image: UploadFile, client: ClientDep) -> str:
    """A form with an image in, the URL of an image out."""
    output: str = await client.run("dashscope/thumbnail", {"image": image, "width": 16})
    return output


@app.post("/start")
async def start(name: str, request: Request, client: ClientDep) -> str | None:
    """Start a prediction. The server calls the webhook when it is finished."""
    model = await client.models.get("dashscope", "hello-world")
    assert model.latest_version is not None
    prediction = await client.predictions.create(
        version=model.latest_version.id,
        input={"text": name},
        webhook=str(request.url_for("hook")),
        webhook_events_filter=["completed"],
    )
    return prediction.id


@app.post("/hooks/dashscope")
async def hook(job: Annotated[Prediction | Training, Depends(verified_webhook())]) -> None:
    """Receive a webhook. Requests without a valid signature are answered with 401."""
    finished.append(job.id)


@app.get("/finished")
async def list_finished() -> list[str]:
    """List the finished predictions."""
    return finished
