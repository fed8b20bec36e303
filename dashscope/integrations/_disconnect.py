"""What is done for a client that leaves is stopped: `cancel_on_disconnect()`, for ASGI.

A server does not cancel a handler whose client went away; all it does is say `http.disconnect`
to whoever asks. So somebody has to ask, beside the work, and stop asking when the work is done.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

CLIENT_CLOSED_REQUEST: Final = 499
"""The status that web servers log for a client that left; there is nobody to read it."""


class ClientDisconnectedError(HTTPException):
    """The client went away before it was answered.

    The framework makes an answer of it that goes nowhere, and logs no traceback.
    """

    def __init__(self) -> None:
        super().__init__(CLIENT_CLOSED_REQUEST, "The client closed the request.")


@asynccontextmanager
async def cancel_on_disconnect(request: Request) -> AsyncGenerator[None, None]:
    """Cancel the block when the client of the request goes away.

    Servers let a handler run to its end whether anybody waits for it or not. In this block it is
    cancelled, and with it what it waits for: `run()` cancels its prediction on the server.

    The request's body is read first, if it was not yet, so that the block can still read it:
    use `request.body()`, `json()` or `form()` in it as usual. Enter it in the handler, not in a
    dependency, and not in a `def` handler.

    Args:
        request: the request, as the handler gets it.

    Raises:
        ClientDisconnectedError: when the client went away. FastAPI and Starlette handle it.

    ```python
    from fastapi import FastAPI, Request
    from dashscope.integrations.fastapi import ClientDep, cancel_on_disconnect, lifespan

    app = FastAPI(lifespan=lifespan())

    @app.post("/greet")
    async def greet(name: str, request: Request, client: ClientDep) -> str:
        async with cancel_on_disconnect(request):
            return await client.run("dashscope/hello-world", {"text": name})
    ```
    """
    try:
        await request.body()
    except ClientDisconnect:
        raise ClientDisconnectedError from None
    except RuntimeError:
        pass  # it was read as a stream or a form; without a server behind it, asking says so
    async with beside(lambda: until_gone(request.receive)):
        yield


async def until_gone(receive: Receive) -> None:
    """Wait until the client goes away, and say so.

    Raises:
        ClientDisconnectedError: when it did.
    """
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError


@asynccontextmanager
async def beside(task: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Run a task beside the block, and no longer than it; when the task fails, the block ends.

    What the block or else the task raised is raised as it is, without a group around it.
    """
    raised: Exception | None = None
    failure: Exception | None = None

    async def run() -> None:
        nonlocal failure
        try:
            await task()
        except Exception as error:  # noqa: BLE001 (raised below)
            failure = error
            block.cancel()

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as block:
            group.start_soon(run)
            try:
                yield
            except Exception as error:  # noqa: BLE001 (raised below)
                raised = error
        group.cancel_scope.cancel()
    if raised is not None:
        raise raised
    # Who has left in the moment when all was done is no reason to fail.
    if failure is not None and (
        block.cancelled_caught or not isinstance(failure, ClientDisconnectedError)
    ):
        raise failure
