"""Models behind FastAPI: `uvicorn fastapi_app:app`.

The address and the token are in DASHSCOPE_BASE_URL and DASHSCOPE_API_TOKEN; without them, a
`dashscope serve` on this machine answers.
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
    """Who leaves cancels the prediction."""
    async with cancel_on_disconnect(request):
        output: str = await client.run("dashscope/hello-world", {"text": name}, timeout=60)
        return output


@app.get("/countdown")
async def countdown(client: ClientDep, start: int = 5) -> EventStreamResponse:
    """Server-sent events, as they come; who leaves cancels the prediction here too."""
    return EventStreamResponse(client.stream("dashscope/countdown", {"start": start}))


@app.post("/thumbnail")
async def thumbnail(request: Request, client: ClientDep, width: int = 64) -> FileOutputResponse:
    """An image in, an image out."""
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
    """Start a prediction, and be told when it is over."""
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
    """What does not come from the server is answered by 401, and never comes here."""
    finished.append(job.id)


@app.get("/finished")
async def list_finished() -> list[str]:
    """Which predictions are over."""
    return finished
