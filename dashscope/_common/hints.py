"""Hints for arguments and attributes that other packages have."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

NEEDS_CLIENT: Final = (
    "a file output cannot be created from a URL alone, because reading it needs a client. Use "
    "client.files_of(prediction) for the files of a prediction, or client.download(url, path) to "
    "save a URL"
)

ATTRIBUTES: Final[Mapping[str, Mapping[str, str]]] = {
    "Prediction": {
        "wait": "Use client.wait(prediction), which returns the finished prediction",
        "async_wait": "Use await client.wait(prediction), which returns the finished prediction",
        "reload": "Predictions do not change. Use prediction = client.predictions.get(prediction)",
        "async_reload": "Predictions do not change. Use await client.predictions.get(prediction)",
        "cancel": "Use client.predictions.cancel(prediction)",
        "async_cancel": "Use await client.predictions.cancel(prediction)",
        "stream": "Use client.predictions.stream(prediction)",
        "async_stream": "Use client.predictions.stream(prediction)",
        "output_iterator": "Use client.predictions.stream(prediction)",
    },
    "Training": {
        "wait": "Use client.wait(training), which returns the finished training",
        "reload": "Trainings do not change. Use training = client.trainings.get(training)",
        "cancel": "Use client.trainings.cancel(training)",
    },
    "Model": {"versions": "Use client.models.versions.list('owner/name')"},
    "Deployment": {"predictions": "Use client.deployments.predictions.create('owner/name', ...)"},
}
"""What to use in place of attributes that values have in the `replicate` package, by class."""


def hint_for(**hints: str) -> Callable[[F], F]:
    """Return a decorator for a method that adds hints to the errors about unexpected arguments.

    Args:
        hints: What to pass instead, by the name of an argument that the method does not have.
    """

    def check(arguments: dict[str, Any]) -> None:
        for name, hint in hints.items():
            if name in arguments:
                raise TypeError(f"there is no argument {name!r}: {hint}")

    def decorate(method: F) -> F:
        @functools.wraps(method)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            check(kwargs)
            return await method(*args, **kwargs)

        @functools.wraps(method)
        def called(*args: Any, **kwargs: Any) -> Any:
            check(kwargs)
            return method(*args, **kwargs)

        return cast("F", awaited if inspect.iscoroutinefunction(method) else called)

    return decorate


def unknown_attribute(output: str, name: str) -> NoReturn:
    """Raise the error for an attribute that file outputs do not have."""
    message = f"{type(output).__name__!r} object has no attribute {name!r}"
    if name == "url":
        message += ". A file output is its URL: use it as a str, or str(output)"
    raise AttributeError(message, name=name, obj=output)
