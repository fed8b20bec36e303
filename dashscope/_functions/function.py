"""`client.use()`: a model as a function that knows its inputs once its schema is fetched."""

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
from dashscope._batch.permits import SharedRate
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
"""The minimum timeout of a run, in seconds, if fetching the schema took all of the time."""


class AsyncModelFunction:
    """A model as a function: `client.use("owner/name")`, then `await model(prompt="...")`.

    The first call, or `load()`, fetches the model's schema. From then on `inspect.signature(model)`
    and `help(model)` show the inputs. Arguments are checked before anything is sent.

    Example:
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
        """The model, as `owner/name` or `owner/name:version`."""
        return self._ref

    async def __call__(self, /, *args: Any, **inputs: Any) -> Any:
        """Run the model and wait for its output, like `client.run()`.

        Args:
            args: Not allowed. Pass inputs by name.
            inputs: The model's inputs. Files in them (paths, bytes, open binary files) are sent
                along.

        Returns:
            The output.

        Raises:
            TypeError: If an input is unknown, missing or of the wrong type.
            ValueError: If an input is out of bounds.
            ModelError: If the model fails.
            PredictionTimeoutError: If the function's `timeout` passes first.

        Example:
            ```python
            thumbnail = client.use("dashscope/thumbnail", timeout=60)
            output = await thumbnail(image=Path("photo.png"), width=64)
            output = await thumbnail(image=output, width=32)  # sends the URL, not the content
            ```

        Endpoints: those of `client.run()`.
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
        """Run the model and stream its output, like `client.stream()`.

        Args:
            args: Not allowed. Pass inputs by name.
            inputs: The model's inputs.

        Returns:
            A stream, for use with `async with`. Entering the stream checks the inputs.

        Raises:
            TypeError: If an input is unknown, missing or of the wrong type. Raised on entering.
            ValueError: If an input is out of bounds. Raised on entering.

        Example:
            ```python
            async with client.use("dashscope/countdown").stream(start=3) as stream:
                async for event in stream:
                    print(str(event), end="")
            ```

        Endpoints: those of `client.stream()`.
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
        """Run the model. Returns as soon as the prediction is created.

        Args:
            args: Not allowed. Pass inputs by name.
            inputs: The model's inputs.

        Returns:
            The prediction, usually still running.

        Raises:
            TypeError: If an input is unknown, missing or of the wrong type.
            ValueError: If an input is out of bounds.

        Example:
            ```python
            prediction = await client.use("dashscope/countdown").create(start=3)
            prediction = await client.wait(prediction)
            ```

        Endpoint: `POST /models/{model_owner}/{model_name}/predictions` or `POST /predictions`.
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
        max_rate: float | SharedRate | None = None,
        progress: Callable[[types.BatchProgress], object] | None = None,
        poll_interval: float | None = None,
    ) -> AsyncBatch:
        """Run the model over many inputs, and yield each result when ready, like `client.map()`.

        An input that does not match the model's schema becomes an error in its result and is not
        sent.

        Args:
            inputs: The inputs of each row: an iterable or async iterable of mappings.
            concurrency: How many predictions may be in flight.
            ordered: Whether to yield results in the order of the inputs.
            checkpoint: The path of a checkpoint file, the path of a folder (an existing one, or a
                path that ends in `/`), or the URL of a PostgreSQL database (`postgresql://...`).
                It is created if it does not exist. Processes and machines can share a folder or a
                database, where rows are recognized by their inputs, in any order.
            resume: What to do with rows that the checkpoint lists as finished: `yield` or `skip`.
                `False` creates all rows again, which requires a folder or a database.
            on_error: `yield` puts the error of a row into its result, `raise` raises the first one.
            on_unknown: What to do with a row that may have been created: `error` or `recreate`.
            max_rate: How many predictions to create per second at most: a number, or an object with
                `acquire(count)`, which several batches share. See
                `dashscope.integrations.postgres.shared_rate()`. An optional `back_off(seconds)` is
                called after a 429.
            progress: A function called with a `BatchProgress` a few times per second, and at the
                end.
            poll_interval: Seconds between polls.

        Returns:
            A batch, for use with `async with`.

        Raises:
            ValueError: If the function has a webhook, which a batch does not support.
            CheckpointError: If the checkpoint cannot be used. Raised by `async with`.

        Example:
            ```python
            hello = client.use("dashscope/hello-world")
            async with hello.map({"text": name} for name in ("Alice", "Bob")) as results:
                async for result in results:
                    print(result.index, result.output)
            ```

        Endpoints: those of `client.map()`.
        """
        # sync doc: an iterable or async iterable of -> an iterable of
        if self._creation["webhook"] is not None:
            raise ValueError("map() does not support webhooks: call use() without a webhook")
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
        """Fetch the model's schema, unless it was fetched before.

        Raises:
            NotFoundError: If there is no such model or version.

        Example:
            ```python
            hello = client.use("dashscope/hello-world")
            await hello.load()
            help(hello)
            ```

        Endpoint: `GET /models/{model_owner}/{model_name}` or
        `GET /models/{model_owner}/{model_name}/versions/{version_id}`.
        """
        await self._load(Deadline.after(self._timeout), fresh=False)

    def __repr__(self) -> str:
        return f"<AsyncModelFunction {self._ref}>"

    def __reduce__(self) -> str:
        raise TypeError("model functions cannot be pickled: call use() in the other process")

    def _appear_as(self, face: Any) -> None:
        """Show the inputs in the signature and help of `face`, now or once they are known."""
        if face is not self:
            self._faces.add(face)
        known = self._schemas.get(str(self._reference))
        if isinstance(known, KnownSchema):
            _dress(face, self._ref, known.schema)

    async def _check(
        self, args: tuple[Any, ...], inputs: Mapping[str, Any], deadline: Deadline
    ) -> None:
        if args:
            raise TypeError(f"{self._ref} takes inputs by name only: call model(name=value)")
        schema = await self._load(deadline, fresh=False)
        try:
            check.check(schema, self._ref, inputs)
        except (TypeError, ValueError):
            # A newer version of the model may accept this input.
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
