"""The operations on one prediction: create, get, cancel, watch and stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Unpack

from attrs import evolve

from dashscope._api.decoding import structure, structure_created
from dashscope._api.instrumentation import NOTHING, Operation
from dashscope._api.requestor import Call, Requestor
from dashscope._api.resource import id_of
from dashscope._common.deadline import Deadline
from dashscope._common.urls import path
from dashscope._common.validation import check_number, check_timeout
from dashscope._errors import BadRequestError, UnprocessableEntityError
from dashscope._files.inputs import path_hint
from dashscope._predictions.create import Creation, creation
from dashscope._predictions.stream import AsyncEventStream
from dashscope._predictions.watch import Watch
from dashscope._runtime.forking import load_before_fork
from dashscope.types.http import Response
from dashscope.types.prediction import Prediction

load_before_fork("dashscope._predictions.stream")


def watch_prediction(
    api: Requestor,
    *,
    cancel_on_exit: bool,
    deadline: Deadline = Deadline.NEVER,
    operation: Operation = NOTHING,
) -> Watch[Prediction]:
    """Return a watch of a prediction that is yet to be created or attached to."""
    return Watch(
        api,
        poll=lambda id, deadline: get_prediction(
            api, id, deadline=deadline, is_poll=True, retries=False
        ),
        cancel=lambda id, deadline: cancel_prediction(api, id, deadline=deadline),
        cancel_on_exit=cancel_on_exit,
        deadline=deadline,
        stream_of=lambda prediction: prediction.urls.stream if prediction.urls else None,
        operation=operation,
    )


def event_stream(
    api: Requestor,
    watch: Watch[Prediction],
    begin: Callable[[Deadline], Awaitable[None]],
    *,
    ref: str | None,
    timeout: float | None,
    stall_timeout: float,
    use_file_output: bool | None,
) -> AsyncEventStream:
    """Return the stream of a prediction that `begin` creates or attaches to.

    The timeout counts from the moment when the stream is entered.
    """
    from dashscope._predictions.stream import AsyncEventStream

    return AsyncEventStream(
        api,
        watch,
        begin,
        ref=ref,
        timeout=check_timeout(timeout),
        stall_timeout=check_number("stall_timeout", stall_timeout),
        use_file_output=api.resolve_use_file_output(use_file_output),
    )


async def get_prediction(
    api: Requestor,
    prediction: Prediction | str,
    *,
    deadline: Deadline,
    is_poll: bool,
    retries: bool = True,
) -> Prediction:
    """Get a prediction.

    Args:
        api: Sends the request.
        prediction: The prediction, or its id.
        deadline: When to give up.
        is_poll: Whether the request is a poll, which sets the client's pace.
        retries: Whether to retry.
    """
    id = id_of(prediction, Prediction)
    call = Call(method="GET", path=prediction_path(id))
    response = await api.send(call, deadline=deadline, is_poll=is_poll, retries=retries)
    return structure(response, Prediction, id=id)


async def cancel_prediction(
    api: Requestor, prediction: Prediction | str, *, deadline: Deadline = Deadline.NEVER
) -> Prediction:
    """Cancel a prediction."""
    id = id_of(prediction, Prediction)
    call = Call(method="POST", path=prediction_path(id) + "/cancel", repeatable=True)
    return structure(await api.send(call, deadline=deadline), Prediction, id=id)


async def create_prediction(api: Requestor, path: str, **options: Unpack[Creation]) -> Prediction:
    """Create a prediction with one of the three endpoints."""
    return await send_creation(api, await creation(api, path, **options))


async def send_creation(
    api: Requestor,
    call: Call,
    *,
    deadline: Deadline = Deadline.NEVER,
    created: Callable[[Prediction], None] | None = None,
) -> Prediction:
    """Send a request that creates a prediction.

    Args:
        api: Sends the request.
        call: The request.
        deadline: When to give up.
        created: Called with the prediction before the user's hooks, which may raise.
    """
    if created is not None:

        def on_response(response: Response) -> None:
            created(structure_created(response, Prediction))

        call = evolve(call, on_response=on_response)
    try:
        response = await api.send(call, deadline=deadline)
    except (BadRequestError, UnprocessableEntityError) as error:
        hint = path_hint(call.json["input"], error.detail or error.body)
        if hint is not None:
            error.add(hint)
        raise
    return structure_created(response, Prediction)


def prediction_path(id: str) -> str:
    """Return the path of a prediction."""
    return path("/predictions/{prediction_id}", prediction_id=id)
