"""Ray: a model over a Ray dataset, and a rate limit for all workers of a cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from typing import Any, Final

from dashscope._batch.permits import SharedRate
from dashscope._common.installing import install_command
from dashscope._common.validation import check_number, check_str
from dashscope._errors import ConfigurationError
from dashscope.integrations.dataframes import Inputs, ModelUdf, udf

__all__ = ["RayRate", "run_model", "shared_rate"]

WORKER_CPUS: Final = 0.25
"""CPUs that an actor requests: it mostly waits for the API."""
BATCH_SIZE: Final = 256
BATCHES_AT_ONCE: Final = 2
"""Batches that an actor runs at once, so that a slow row delays only its own batch."""


def _ray(name: str = "ray") -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigurationError(f"Ray is not installed: {install_command('ray')}") from error


def run_model(
    dataset: Any,
    ref: str,
    *,
    inputs: Inputs,
    key: str | Sequence[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    concurrency: int = 32,
    max_rate: float | SharedRate | None = None,
    workers: int | tuple[int, int] = (1, 8),
    batch_size: int = BATCH_SIZE,
    **options: Any,
) -> Any:
    """Run a model over the rows of a Ray dataset.

    The result is lazy: Ray runs the model when the result is read or written, and shows the
    progress in its own bar. The actors request little CPU, because they wait for the API.

    Args:
        dataset: A `ray.data.Dataset`.
        ref: The model, as `owner/name` or `owner/name:version`.
        inputs: The columns that the model's inputs come from, or a function of a row.
        key: A column or columns that identify a row together with its inputs.
        checkpoint: A folder that all workers share, or the URL of a PostgreSQL database. Without
            one, rows of a worker that dies are created again.
        concurrency: How many predictions each actor may have in flight.
        max_rate: How many predictions each batch may create per second, or `shared_rate()`.
        workers: The number of actors, or the least and the largest number.
        batch_size: The number of rows that an actor receives at once.
        **options: Other arguments of `dashscope.integrations.dataframes.udf()`.

    Returns:
        A lazy `ray.data.Dataset` with the columns `output`, `error`, `prediction_id` and `seconds`.

    Raises:
        ConfigurationError: If Ray is not installed.
        CheckpointError: If the checkpoint cannot be used.
        ValueError: If an argument is invalid.

    Example: see `dashscope docs scaling-out`.

    Endpoints: those of `client.map()`.
    """
    share = max(1, concurrency // BATCHES_AT_ONCE)
    model = udf(
        ref,
        inputs=inputs,
        key=key,
        checkpoint=checkpoint,
        concurrency=share,
        max_rate=max_rate,
        **options,
    )
    return map_dataset(dataset, model, workers=workers, batch_size=batch_size)


def map_dataset(
    dataset: Any, model: ModelUdf, *, workers: int | tuple[int, int], batch_size: int
) -> Any:
    """Return the dataset with the columns of a `udf()`."""
    strategy = _ray("ray.data").ActorPoolStrategy
    size = (workers, workers) if isinstance(workers, int) else workers
    # Ray replaces an actor that dies, and runs its batches again.
    options: dict[str, Any] = {"min_size": size[0], "max_size": size[1]}
    remote: dict[str, Any] = {}
    if "max_concurrent_calls_per_actor" in signature(strategy).parameters:
        options["max_concurrent_calls_per_actor"] = BATCHES_AT_ONCE
    else:  # before Ray 2.60
        remote["max_concurrency"] = BATCHES_AT_ONCE
    return dataset.map_batches(
        _Actor,
        fn_constructor_args=(model,),
        batch_format="pyarrow",
        batch_size=batch_size,
        num_cpus=WORKER_CPUS,
        compute=strategy(**options),
        **remote,
    )


class _Actor:
    """Runs batches of a dataset, several at once on the event loop of the actor."""

    def __init__(self, model: ModelUdf) -> None:
        self._model = model

    async def __call__(self, batch: Any) -> Any:
        yield await self._model.run_async(batch)


class _Rate:
    """The actor of a rate limit."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._next = 0.0

    def reserve(self, count: int) -> float:
        """Reserve permits, and return the seconds until they may be used."""
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + count / self._per_second
        return start - now

    def back_off(self, seconds: float) -> None:
        """Grant no permits for some time."""
        self._next = max(self._next, time.monotonic() + seconds)


class RayRate:
    """A rate limit that all workers of a Ray cluster share. `shared_rate()` creates it.

    Attributes:
        per_second: The rate.
    """

    def __init__(self, per_second: float, name: str) -> None:
        self.per_second = per_second
        self._name = name

    def acquire(self, count: int = 1, /) -> None:
        """Wait until `count` predictions may be created.

        Args:
            count: How many predictions the caller wants to create.

        Example: see `dashscope docs scaling-out`.
        """
        time.sleep(_ray().get(self._actor().reserve.remote(count)))

    def back_off(self, seconds: float) -> None:
        """Keep all workers from creating predictions for some time.

        Args:
            seconds: The wait that the server requested.

        Example: see `dashscope docs scaling-out`.
        """
        _ray().get(self._actor().back_off.remote(seconds))

    def _actor(self) -> Any:
        """Return the actor of this rate, which is created if it does not exist or has died."""
        return (
            _ray()
            .remote(_Rate)
            .options(
                name=f"dashscope-rate-{self._name}",
                namespace="dashscope",
                get_if_exists=True,
                lifetime="detached",
                num_cpus=0,
                max_restarts=-1,
            )
            .remote(self.per_second)
        )


def shared_rate(per_second: float, *, name: str = "default") -> RayRate:
    """Return a rate limit for all workers of a Ray cluster, for `max_rate=`.

    A named actor grants the permits. The object can be pickled. It works with `AsyncClient`, which
    calls it in a thread, and with `Client`.

    Args:
        per_second: How many predictions all workers together may create per second.
        name: The name of the rate limit. Limits with different rates need different names.

    Returns:
        The rate limit.

    Raises:
        ConfigurationError: If Ray is not installed.
        ValueError: If an argument is invalid.

    Example: see `dashscope docs scaling-out`.
    """
    _ray()
    check_str("name", name)
    rate = check_number("per_second", per_second, "creates per second")
    return RayRate(rate, f"{name}-{rate:g}")
