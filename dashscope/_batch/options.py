"""The arguments of `map()`, validated before anything is read or sent."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from attrs import evolve, frozen

from dashscope import types
from dashscope._batch.checkpoint.location import Location, new_id, parse
from dashscope._batch.permits import SharedRate
from dashscope._common.urls import Reference
from dashscope._common.validation import (
    check_choice,
    check_count,
    check_flag,
    check_interval,
    check_number,
    check_timeout,
)
from dashscope._files import inputs
from dashscope._files.inputs import FileEncoding

Resume: TypeAlias = Literal["yield", "skip", False]
OnError: TypeAlias = Literal["yield", "raise"]
OnUnknown: TypeAlias = Literal["error", "recreate"]
Check: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


@frozen(kw_only=True)
class Options:
    """Validated arguments. `AsyncClient.map` documents them."""

    ref: str
    reference: Reference
    concurrency: int
    ordered: bool
    checkpoint: Location | None
    resume: Resume
    on_error: OnError
    on_unknown: OnUnknown
    max_rate: float | None
    shared_rate: SharedRate | None
    progress: Callable[[types.BatchProgress], object] | None
    timeout: float | None
    file_encoding: FileEncoding
    use_file_output: bool
    poll_interval: float | None
    check: Check
    """Validates an input against the model's schema before its files are uploaded, and returns the
    input to send."""
    keys: Sequence[bytes] | None = None
    """What identifies each row in the checkpoint. `None` to identify rows by their inputs."""


def check(
    ref: str,
    *,
    concurrency: int,
    ordered: bool,
    checkpoint: str | os.PathLike[str] | None,
    resume: Resume,
    on_error: OnError,
    on_unknown: OnUnknown,
    max_rate: float | SharedRate | None,
    progress: Callable[[types.BatchProgress], object] | None,
    timeout: float | None,
    file_encoding: FileEncoding,
    use_file_output: bool,
    poll_interval: float | None,
    check: Check,
) -> Options:
    """Validate the arguments of `map()`.

    Returns:
        The validated options.

    Raises:
        ValueError: If an argument has an invalid value.
        TypeError: If an argument has the wrong type.
    """
    if resume is not False:
        check_choice("resume", resume, ("yield", "skip"))
    check_choice("on_error", on_error, ("yield", "raise"))
    check_choice("on_unknown", on_unknown, ("error", "recreate"))
    location = None if checkpoint is None else parse(checkpoint)
    if location is None and (resume != "yield" or on_unknown != "error"):
        raise ValueError("resume and on_unknown require a checkpoint: pass checkpoint='run.sqlite'")
    if location is not None and resume is False:
        location = _without_earlier_rows(location)
    inputs.check_encoding(file_encoding)
    return Options(
        ref=ref,
        reference=Reference.parse(ref),
        concurrency=check_count("concurrency", concurrency, least=1),
        ordered=check_flag("ordered", ordered),
        checkpoint=location,
        resume=resume,
        on_error=on_error,
        on_unknown=on_unknown,
        max_rate=(
            check_number("max_rate", max_rate, "creates per second")
            if isinstance(max_rate, int | float)
            else None
        ),
        shared_rate=None if isinstance(max_rate, int | float) else max_rate,
        progress=progress,
        timeout=check_timeout(timeout),
        file_encoding=file_encoding,
        use_file_output=use_file_output,
        poll_interval=check_interval(poll_interval),
        check=check,
    )


def _without_earlier_rows(location: Location) -> Location:
    if not location.is_shared:
        raise ValueError(
            f"resume=False requires a folder or a database: delete {location.name} instead"
        )
    return evolve(location, salt=new_id())
