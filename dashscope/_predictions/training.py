"""The operations on one training: get, cancel and wait."""

from __future__ import annotations

from collections.abc import Callable

from dashscope._api.decoding import structure
from dashscope._api.instrumentation import begin
from dashscope._api.requestor import Call, Requestor
from dashscope._api.resource import id_of
from dashscope._common.deadline import Deadline
from dashscope._common.urls import path
from dashscope._predictions.watch import Watch, check_wait
from dashscope.types.training import Training


async def wait_for_training(
    api: Requestor,
    training: Training | str,
    *,
    poll_interval: float | None,
    timeout: float | None,
    progress: Callable[[Training], object] | None,
    cancel_on_exit: bool,
) -> Training:
    """Wait until a training finishes. `AsyncTrainings.wait` describes the arguments."""
    interval, deadline = check_wait(api, poll_interval, timeout, progress)
    id_of(training, Training)
    model = None if isinstance(training, str) else training.model
    operation = begin("wait", api.config.base_url, model)
    watch = Watch(
        api,
        poll=lambda id, deadline: _poll(api, id, deadline),
        cancel=lambda id, deadline: cancel_training(api, id, deadline=deadline),
        cancel_on_exit=cancel_on_exit,
        deadline=deadline,
        operation=operation,
    )
    with operation.whole():
        async with watch:
            await watch.attach(training, deadline=deadline, progress=progress)
            return await watch.until_done(interval=interval, deadline=deadline, progress=progress)
    raise AssertionError("unreachable")


async def _poll(api: Requestor, training: str, deadline: Deadline) -> Training:
    call = Call(method="GET", path=training_path(training))
    response = await api.send(call, deadline=deadline, is_poll=True, retries=False)
    return structure(response, Training, id=training)


async def cancel_training(
    api: Requestor, training: Training | str, *, deadline: Deadline = Deadline.NEVER
) -> Training:
    """Cancel a training."""
    id = id_of(training, Training)
    call = Call(method="POST", path=training_path(id) + "/cancel", repeatable=True)
    return structure(await api.send(call, deadline=deadline), Training, id=id)


def training_path(id: str) -> str:
    """Return the path of a training."""
    return path("/trainings/{training_id}", training_id=id)
