"""`run()`, `stream()` and `wait()`, for `AsyncClient` and model functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from dashscope._api import instrumentation
from dashscope._api.requestor import Requestor
from dashscope._api.resource import id_of
from dashscope._common.deadline import Deadline
from dashscope._common.urls import Reference
from dashscope._common.validation import check_flag, check_timeout, shown
from dashscope._files.file_output import wrap_file_outputs
from dashscope._files.inputs import FileEncoding
from dashscope._predictions.create import WebhookEvent, cancel_after_for, creation
from dashscope._predictions.operations import event_stream, send_creation, watch_prediction
from dashscope._predictions.outcome import output_of, whole
from dashscope._predictions.stream import AsyncEventStream
from dashscope._predictions.watch import check_wait
from dashscope._runtime.forking import load_before_fork
from dashscope.types.prediction import Prediction
from dashscope.types.training import Training

load_before_fork("dashscope._predictions.training")


async def run(
    api: Requestor,
    ref: str,
    input: Mapping[str, Any] | None,
    *,
    wait: int | None = None,
    poll_interval: float | None = None,
    timeout: float | None = None,
    progress: Callable[[Prediction], object] | None = None,
    webhook: str | None = None,
    webhook_events_filter: Sequence[WebhookEvent] | None = None,
    file_encoding: FileEncoding = "auto",
    use_file_output: bool | None = None,
    cancel_on_exit: bool = True,
) -> Any:
    """Create a prediction and wait for its output. `AsyncClient.run` describes the arguments."""
    reference = Reference.parse(ref)
    interval, deadline = check_wait(api, poll_interval, timeout, progress)
    use_file_output = api.resolve_use_file_output(use_file_output)
    check_flag("cancel_on_exit", cancel_on_exit)  # before files are sent
    operation = instrumentation.begin("run", api.config.base_url, ref)
    with operation.whole():
        call = await creation(
            api,
            reference.path,
            version=reference.version,
            input={} if input is None else input,
            wait=wait,
            cancel_after=cancel_after_for(timeout),
            webhook=webhook,
            webhook_events_filter=webhook_events_filter,
            file_encoding=file_encoding,
            deadline=deadline,
        )
        async with watch_prediction(
            api, cancel_on_exit=cancel_on_exit, deadline=deadline, operation=operation
        ) as watch:
            await watch.create(
                lambda created: send_creation(api, call, deadline=deadline, created=created),
                progress,
            )
            prediction = await watch.until_done(
                interval=interval, deadline=deadline, progress=progress
            )
        output = output_of(ref, prediction)
    return wrap_file_outputs(output, api) if use_file_output else output


def stream(
    api: Requestor,
    ref: str,
    input: Mapping[str, Any] | None,
    *,
    check: Callable[[Deadline], Awaitable[Mapping[str, Any]]] | None = None,
    timeout: float | None = None,
    stall_timeout: float,
    webhook: str | None = None,
    webhook_events_filter: Sequence[WebhookEvent] | None = None,
    file_encoding: FileEncoding = "auto",
    use_file_output: bool | None = None,
    cancel_on_exit: bool = True,
) -> AsyncEventStream:
    """Return a stream that creates its prediction when it is entered.

    `AsyncClient.stream` describes the arguments. `check` checks the input first,
    and returns what to send.
    """
    reference = Reference.parse(ref)
    check_timeout(timeout)
    watch = watch_prediction(api, cancel_on_exit=cancel_on_exit)

    async def begin(deadline: Deadline) -> None:
        given = input if check is None else await check(deadline)
        call = await creation(
            api,
            reference.path,
            version=reference.version,
            input={} if given is None else given,
            cancel_after=cancel_after_for(timeout),
            stream=True,
            webhook=webhook,
            webhook_events_filter=webhook_events_filter,
            file_encoding=file_encoding,
            deadline=deadline,
        )
        await watch.create(
            lambda created: send_creation(api, call, deadline=deadline, created=created),
            progress=None,
        )

    return event_stream(
        api,
        watch,
        begin,
        ref=ref,
        timeout=timeout,
        stall_timeout=stall_timeout,
        use_file_output=use_file_output,
    )


async def wait(
    api: Requestor,
    job: Prediction | Training | str,
    *,
    poll_interval: float | None,
    timeout: float | None,
    progress: Callable[[Any], object] | None,
    cancel_on_exit: bool,
) -> Prediction | Training:
    """Wait until a prediction or training finishes. `AsyncClient.wait` describes the arguments."""
    if not isinstance(job, str | Prediction):
        from dashscope._predictions.training import wait_for_training

        if not isinstance(job, Training):
            raise TypeError(
                f"prediction must be a Prediction, a Training or an id, not {shown(job)}"
            )
        return await wait_for_training(
            api,
            job,
            poll_interval=poll_interval,
            timeout=timeout,
            progress=progress,
            cancel_on_exit=cancel_on_exit,
        )
    id_of(job, Prediction)
    interval, deadline = check_wait(api, poll_interval, timeout, progress)
    model = None if isinstance(job, str) else job.model
    operation = instrumentation.begin("wait", api.config.base_url, model)
    with operation.whole():
        async with watch_prediction(
            api, cancel_on_exit=cancel_on_exit, deadline=deadline, operation=operation
        ) as watch:
            await watch.attach(job, deadline=deadline, progress=progress)
            done = await watch.until_done(interval=interval, deadline=deadline, progress=progress)
        return whole(done)
