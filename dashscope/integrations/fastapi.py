"""Dashscope in FastAPI: a client for the whole application, and handlers that stop in time.

```python
from dashscope.integrations.fastapi import ClientDep, cancel_on_disconnect, lifespan
```

Needs the extra: `pip install 'dashscope-client[fastapi]'`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Final, TypeAlias

import anyio

try:
    from fastapi import Depends, FastAPI, HTTPException, Request
    from starlette.requests import ClientDisconnect, HTTPConnection
except ImportError as error:
    raise ImportError("This needs: pip install 'dashscope-client[fastapi]'") from error

from dashscope import webhooks
from dashscope._client import AsyncClient
from dashscope._common.validation import check_count
from dashscope._errors import WebhookVerificationError
from dashscope.integrations._disconnect import ClientDisconnectedError, cancel_on_disconnect
from dashscope.integrations._responses import EventStreamResponse, FileOutputResponse
from dashscope.types.prediction import Prediction
from dashscope.types.training import Training

__all__ = [
    "ClientDep",
    "ClientDisconnectedError",
    "EventStreamResponse",
    "FileOutputResponse",
    "cancel_on_disconnect",
    "get_client",
    "lifespan",
    "verified_webhook",
]

LARGEST_WEBHOOK: Final = 32 * 1024 * 1024
"""Bytes; inputs and outputs with files in them can be as long as this."""

LAST_WORDS: Final = 0.1
"""Seconds between the server's word that it stops and the end of the client."""

_STATE: Final = "dashscope_client"

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]
"""What `FastAPI(lifespan=...)` takes."""


def lifespan(make_client: Callable[[], AsyncClient] = AsyncClient) -> Lifespan:
    """A lifespan that makes the application's client as it starts, and closes it as it stops.

    Args:
        make_client: makes the client, by default with what the environment says.

    Returns:
        What `FastAPI(lifespan=...)` takes. Within a lifespan of your own, enter it, and yield its
        state along with yours: `async with lifespan()(app) as state: yield {**state, ...}`.

    ```python
    from fastapi import FastAPI
    from dashscope import AsyncClient
    from dashscope.integrations.fastapi import ClientDep, lifespan

    app = FastAPI(lifespan=lifespan(lambda: AsyncClient(timeout=30)))

    @app.post("/greet")
    async def greet(name: str, client: ClientDep) -> str:
        return await client.run("dashscope/hello-world", {"text": name})
    ```
    """
    if isinstance(make_client, FastAPI) or not callable(make_client):
        raise TypeError(
            "lifespan() takes a function that makes the client: write FastAPI(lifespan=lifespan())"
        )

    @asynccontextmanager
    async def run(app: Any) -> AsyncGenerator[dict[str, Any], None]:
        async with make_client() as client:
            yield {_STATE: client}
            # The handlers that the server has just cancelled come to cancel their predictions,
            # which the client waits for as it closes.
            await anyio.sleep(LAST_WORDS)

    return run


def get_client(connection: HTTPConnection) -> AsyncClient:
    """The application's client, as a dependency: `Annotated[AsyncClient, Depends(get_client)]`.

    A test puts another one in its place by `app.dependency_overrides[get_client]`.
    """
    client: AsyncClient | None = getattr(connection.state, _STATE, None)
    if client is None:
        raise RuntimeError(
            "The application has no Dashscope client: write FastAPI(lifespan=lifespan()), or yield "
            "the state of lifespan() from your own. A TestClient runs it in a `with` block only."
        )
    return client


ClientDep: TypeAlias = Annotated[AsyncClient, Depends(get_client)]
"""A parameter of this type is the application's client."""


def verified_webhook(
    secret: webhooks.Secret | Sequence[webhooks.Secret] | None = None,
    *,
    tolerance: float = webhooks.DEFAULT_TOLERANCE,
    max_bytes: int = LARGEST_WEBHOOK,
) -> Callable[[Request], Awaitable[Prediction | Training]]:
    """A dependency that checks a webhook, and hands over what it tells of.

    What does not come from the server is answered by 401, what is too large by 413, and the
    handler is not called.

    Args:
        secret: the secret, or several while an old one is still in use; by default the
            application's client asks for it at the first webhook.
        tolerance: seconds that the signature may be old, or ahead of this machine's clock.
        max_bytes: the largest body that is read.

    Raises:
        ValueError: when the secret is not one.

    ```python
    from typing import Annotated
    from fastapi import Depends, FastAPI
    from dashscope import Prediction
    from dashscope.integrations.fastapi import lifespan, verified_webhook

    app = FastAPI(lifespan=lifespan())

    @app.post("/hooks/dashscope")
    async def hook(prediction: Annotated[Prediction, Depends(verified_webhook())]) -> None:
        print(prediction.id, prediction.status)
    ```
    """
    if secret is not None:
        webhooks.keys_of(secret)
    webhooks.check_tolerance(tolerance)
    check_count("max_bytes", max_bytes, least=1)
    known = secret

    async def webhook(request: Request) -> Prediction | Training:
        nonlocal known
        body = await _body(request, max_bytes)
        if known is None:
            known = await get_client(request).webhooks.default.secret.get()
        try:
            return webhooks.verify(body, request.headers, known, tolerance=tolerance)
        except WebhookVerificationError as error:
            refusal = HTTPException(401, str(error))
        raise refusal

    return webhook


async def _body(request: Request, max_bytes: int) -> bytes:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise HTTPException(413, f"A webhook has {max_bytes} bytes at the most.")
    except ClientDisconnect:
        raise ClientDisconnectedError from None
    return bytes(body)
