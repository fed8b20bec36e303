"""FastAPI: one client for the application, and handlers that stop when their client disconnects.

```python
from dashscope.integrations.fastapi import ClientDep, cancel_on_disconnect, lifespan
```

Requires the extra `fastapi`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any, Final, TypeAlias

import anyio

from dashscope._common.installing import install_command

try:
    from fastapi import Depends, FastAPI, HTTPException, Request
    from starlette.requests import ClientDisconnect, HTTPConnection
except ImportError as error:
    raise ImportError(f"FastAPI is not installed. Run: {install_command('fastapi')}") from error

from dashscope import webhooks
from dashscope._client import AsyncClient
from dashscope._common.validation import check_count
from dashscope._errors import WebhookVerificationError
from dashscope.integrations._disconnect import ClientDisconnectedError, cancel_on_disconnect
from dashscope.integrations._problems import install_error_handlers
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
    "install_error_handlers",
    "lifespan",
    "verified_webhook",
]

LARGEST_WEBHOOK: Final = 32 * 1024 * 1024
"""The largest webhook, in bytes. Inputs and outputs may contain files."""

LAST_WORDS: Final = 0.1
"""Seconds between the server's shutdown and the closing of the client."""

_STATE: Final = "dashscope_client"

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[dict[str, Any]]]
"""The type of `FastAPI(lifespan=...)`."""


def lifespan(make_client: Callable[[], AsyncClient] = AsyncClient) -> Lifespan:
    """Return a lifespan that creates the application's client, and closes it at shutdown.

    Args:
        make_client: Creates the client. Defaults to a client configured by environment variables.

    Returns:
        A value for `FastAPI(lifespan=...)`. In a lifespan of your own, enter it and yield its state
        together with yours: `async with lifespan()(app) as state: yield {**state, ...}`.

    Raises:
        TypeError: If `make_client` is not a function.

    Example:
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
            "make_client must be a function that creates the client. "
            "Write FastAPI(lifespan=lifespan())"
        )

    @asynccontextmanager
    async def run(app: Any) -> AsyncGenerator[dict[str, Any], None]:
        async with make_client() as client:
            yield {_STATE: client}
            # Let the handlers that the server has just canceled start to cancel their
            # predictions. Closing the client waits for that.
            await anyio.sleep(LAST_WORDS)

    return run


def get_client(connection: HTTPConnection) -> AsyncClient:
    """Return the application's client. Use it as `Annotated[AsyncClient, Depends(get_client)]`.

    Tests replace it with `app.dependency_overrides[get_client]`.

    Args:
        connection: The request or websocket.

    Returns:
        The client.

    Raises:
        RuntimeError: If the application has no client.
    """
    client: AsyncClient | None = getattr(connection.state, _STATE, None)
    if client is None:
        raise RuntimeError(
            "The application has no Dashscope client. Write FastAPI(lifespan=lifespan()), or yield "
            "the state of lifespan() from your own lifespan. In tests, use TestClient in a `with` "
            "block, because only then does it run the lifespan."
        )
    return client


ClientDep: TypeAlias = Annotated[AsyncClient, Depends(get_client)]
"""The type of a parameter that receives the application's client."""


def verified_webhook(
    secret: webhooks.Secret | Sequence[webhooks.Secret] | None = None,
    *,
    tolerance: float = webhooks.DEFAULT_TOLERANCE,
    max_bytes: int = LARGEST_WEBHOOK,
) -> Callable[[Request], Awaitable[Prediction | Training]]:
    """Return a dependency that verifies a webhook and returns its prediction or training.

    A request with a wrong signature gets the status 401 and a body that is too large 413. The
    handler is not called.

    Args:
        secret: The secret, or several while an old secret is still in use. By default the
            application's client requests it for the first webhook.
        tolerance: Seconds that the signature may be old, or ahead of this machine's clock.
        max_bytes: The size of the largest body that is read.

    Returns:
        The dependency.

    Raises:
        ValueError: If the secret is malformed.

    Example:
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
                raise HTTPException(413, f"The webhook is larger than {max_bytes} bytes.")
    except ClientDisconnect:
        raise ClientDisconnectedError from None
    return bytes(body)
