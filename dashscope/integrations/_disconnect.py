"""`cancel_on_disconnect()`: stop the work for a client that disconnects, in ASGI applications.

A server does not cancel a handler whose client has disconnected. It only sends `http.disconnect` to
whoever receives. So a task must receive while the work runs.
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
"""The status that web servers log for a client that disconnected. No client receives it."""


class ClientDisconnectedError(HTTPException):
    """The client disconnected before the response.

    The framework handles this error, and logs no traceback.
    """

    def __init__(self) -> None:
        super().__init__(CLIENT_CLOSED_REQUEST, "The client closed the request.")


@asynccontextmanager
async def cancel_on_disconnect(request: Request) -> AsyncGenerator[None, None]:
    """Cancel the block when the client of the request disconnects.

    Servers let a handler run to its end even if the client has disconnected. Inside this block, the
    handler and the call that it awaits are canceled: `run()` cancels its prediction on the server.

    The body of the request is read first, so that the block can still use `request.body()`,
    `json()` or `form()`. Use the block in the handler, not in a dependency and not in a `def`
    handler.

    Args:
        request: The request that the handler receives.

    Raises:
        ClientDisconnectedError: If the client disconnects. FastAPI and Starlette handle it.

    Example:
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
        pass  # the body was read before, as a stream or a form
    async with beside(lambda: until_gone(request.receive)):
        yield


async def until_gone(receive: Receive) -> None:
    """Wait until the client disconnects.

    Raises:
        ClientDisconnectedError: When the client disconnects.
    """
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError


@asynccontextmanager
async def beside(task: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Run a task while the block runs. If the task fails, the block is canceled.

    The exception of the block, or else of the task, is raised without an exception group.
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
    # A client that disconnects when the block has just finished is not an error.
    if failure is not None and (
        block.cancelled_caught or not isinstance(failure, ClientDisconnectedError)
    ):
        raise failure
