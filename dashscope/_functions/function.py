"""`client.use()`: a model as a function, which knows its inputs once its schema was fetched."""

from __future__ import annotations

import os
import weakref
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from attrs import evolve

from dashscope import types
from dashscope._api.requestor import Requestor
from dashscope._batch import options
from dashscope._batch.batch import AsyncBatch
from dashscope._batch.options import OnError, OnUnknown, Resume
from dashscope._common.deadline import Deadline
from dashscope._common.urls import Reference
from dashscope._common.validation import check_timeout
from dashscope._config import STALL_TIMEOUT
from dashscope._files import inputs as _inputs
from dashscope._files.inputs import FileEncoding
from dashscope._functions import check, signature
from dashscope._functions.schema import ModelSchema
from dashscope._functions.schema_cache import KnownSchema, Schemas, known_schema
from dashscope._predictions import run
from dashscope._predictions.create import WebhookEvent, check_webhook, creation
from dashscope._predictions.operations import send_creation
from dashscope._predictions.stream import AsyncEventStream
from dashscope.types.prediction import Prediction

MOMENT: Final = 0.001
"""Seconds that a run gets at least, where the schema has taken all the time."""


class AsyncModelFunction:
    """A model as a function: `client.use("owner/name")`, then `await model(prompt="...")`.

    What the inputs are, the model's schema says. It is fetched once, by the first call or by
    `load()`; from then on `inspect.signature(model)` and `help(model)` show them. Arguments are
    checked before anything is sent.

    ```python
    hello = client.use("dashscope/hello-world")
    output = await hello(text="Alice")
    ```
    """

    def __init__(
        self,
        api: Requestor,
        schemas: Schemas,
        ref: str,
        *,
        timeout: float | None,
        webhook: str | None,
        webhook_events_filter: Sequence[WebhookEvent] | None,
        file_encoding: FileEncoding,
        use_file_output: bool | None,
    ) -> None:
        self._reference = Reference.parse(ref)
        check_webhook(webhook, webhook_events_filter)
        _inputs.check_encoding(file_encoding)
        self._timeout = check_timeout(timeout)
        self._api = api
        self._schemas = schemas
        self._ref = ref
        self._creation: dict[str, Any] = {
            "webhook": webhook,
            "webhook_events_filter": webhook_events_filter,
            "file_encoding": file_encoding,
        }
        self._use_file_output = use_file_output
        api.resolve_use_file_output(use_file_output)
        self._faces: weakref.WeakSet[Any] = weakref.WeakSet()
        self._appear_as(self)

    @property
    def ref(self) -> str:
        """The model, `owner/name` or `owner/name:version`."""
        return self._ref

    async def __call__(self, /, *args: Any, **inputs: Any) -> Any:
        """Run the model and wait for its output, as `client.run()` does.

        Args:
            args: none: a model takes its inputs by name.
            inputs: the model's inputs; files in them (paths, bytes, open files) are sent along.

        Returns:
            The output.

        Raises:
            TypeError: for an input that the model does not have, one that is missing, or one of
                another type.
            ValueError: for an input that is out of bounds.
            ModelError: when the model failed.

        ```python
        thumbnail = client.use("dashscope/thumbnail", timeout=60)
        output = await thumbnail(image=Path("photo.png"), width=64)
        output = await thumbnail(image=output, width=32)  # its URL goes in, not its content
        ```
        """
        deadline = Deadline.after(self._timeout)
        await self._check(args, inputs, deadline)
        return await run.run(
            self._api,
            self._ref,
            inputs,
            timeout=None if self._timeout is None else max(deadline.within(self._timeout), MOMENT),
            use_file_output=self._use_file_output,
            **self._creation,
        )

    def stream(self, /, *args: Any, **inputs: Any) -> AsyncEventStream:
        """Run the model and stream its output as it comes, as `client.stream()` does.

        Args:
            args: none: a model takes its inputs by name.
            inputs: the model's inputs.

        Returns:
            A stream, to be opened by `async with`, which checks the inputs first.

        ```python
        async with client.use("dashscope/countdown").stream(start=3) as stream:
            async for event in stream:
                print(str(event), end="")
        ```
        """
        return run.stream(
            self._api,
            self._ref,
            inputs,
            check=lambda deadline: self._check(args, inputs, deadline),
            timeout=self._timeout,
            stall_timeout=STALL_TIMEOUT,
            use_file_output=self._use_file_output,
            **self._creation,
        )

    async def create(self, /, *args: Any, **inputs: Any) -> Prediction:
        """Start a run of the model, and go on without it.

        Args:
            args: none: a model takes its inputs by name.
            inputs: the model's inputs.

        Returns:
            The prediction.

        ```python
        prediction = await client.use("dashscope/countdown").create(start=3)
        prediction = await client.wait(prediction)
        ```
        """
        await self._check(args, inputs, Deadline.NEVER)
        call = await creation(
            self._api,
            self._reference.path,
            version=self._reference.version,
            input=inputs,
            cancel_after=self._timeout,
            **self._creation,
        )
        return await send_creation(self._api, call)

    def map(
        self,
        inputs: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]],
        *,
        concurrency: int = 32,
        ordered: bool = False,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: Resume = "yield",
        on_error: OnError = "yield",
        on_unknown: OnUnknown = "error",
        max_rate: float | None = None,
        progress: Callable[[types.BatchProgress], object] | None = None,
        poll_interval: float | None = None,
    ) -> AsyncBatch:
        """Run the model over many inputs, and give each result as it comes, as `client.map()` does.

        An input that the model does not take is an error in its result, and is not sent.

        Args:
            inputs: mappings of the model's inputs: an iterable or async iterable.
            concurrency: how many predictions are in flight at the most.
            ordered: whether results come in the order of the inputs.
            checkpoint: the path of a file, which is made where it is missing.
            resume: what becomes of rows that are over by the checkpoint: `yield` or `skip`.
            on_error: `raise` raises the first error of a row; by default it is in its result.
            on_unknown: what becomes of a row that may have been created: an `error`, or
                `recreate`.
            max_rate: how many predictions are created per second at the most.
            progress: called with a `BatchProgress` a few times per second, and at the end.
            poll_interval: seconds between two looks at what runs.

        Returns:
            A batch, to be opened by `async with`.

        Raises:
            ValueError: when the function has a webhook: a batch has none.

        ```python
        hello = client.use("dashscope/hello-world")
        async with hello.map({"text": name} for name in ("Alice", "Bob")) as results:
            async for result in results:
                print(result.index, result.output)
        ```
        """
        if self._creation["webhook"] is not None:
            raise ValueError("map() takes no webhook: use() the model without one")
        if progress is not None:
            self._api.runtime.check_callback("progress", progress)
        checked = options.check(
            self._ref,
            concurrency=concurrency,
            ordered=ordered,
            checkpoint=checkpoint,
            resume=resume,
            on_error=on_error,
            on_unknown=on_unknown,
            max_rate=max_rate,
            progress=progress,
            timeout=self._timeout,
            file_encoding=self._creation["file_encoding"],
            use_file_output=self._api.resolve_use_file_output(self._use_file_output),
            poll_interval=poll_interval,
        )
        return AsyncBatch(self._api, inputs, evolve(checked, check=self._check_row))

    async def load(self) -> None:
        """Fetch the model's schema, unless it is there already.

        Raises:
            NotFoundError: when there is no such model or version.

        ```python
        hello = client.use("dashscope/hello-world")
        await hello.load()
        help(hello)
        ```
        """
        await self._load(Deadline.after(self._timeout), fresh=False)

    def __repr__(self) -> str:
        return f"<AsyncModelFunction {self._ref}>"

    def __reduce__(self) -> str:
        raise TypeError("a model function is not pickled: use() the model in the other process")

    def _appear_as(self, face: Any) -> None:
        """Show the inputs as the signature and the help of `face`, now or once they are known."""
        if face is not self:
            self._faces.add(face)
        known = self._schemas.get(str(self._reference))
        if isinstance(known, KnownSchema):
            _dress(face, self._ref, known.schema)

    async def _check(
        self, args: tuple[Any, ...], inputs: Mapping[str, Any], deadline: Deadline
    ) -> None:
        if args:
            raise TypeError(f"{self._ref} takes its inputs by name: model(name=value)")
        schema = await self._load(deadline, fresh=False)
        try:
            check.check(schema, self._ref, inputs)
        except (TypeError, ValueError):
            # A newer version may take what the one that is known here does not.
            newer = await self._load(deadline, fresh=True)
            if newer is schema:
                raise
        else:
            return
        check.check(newer, self._ref, inputs)

    async def _check_row(self, row: Mapping[str, Any]) -> None:
        _inputs.check(row)
        await self._check((), row, Deadline.after(self._timeout))

    async def _load(self, deadline: Deadline, *, fresh: bool) -> ModelSchema:
        known = await known_schema(self._api, self._schemas, self._reference, deadline, fresh=fresh)
        for face in (self, *self._faces):
            _dress(face, self._ref, known)
        return known


AsyncModelFunction.__module__ = "dashscope"


def _dress(face: Any, name: str, schema: ModelSchema) -> None:
    face.__signature__ = signature.signature(schema)
    face.__doc__ = signature.described(name, schema)
