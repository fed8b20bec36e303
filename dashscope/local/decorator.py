"""The ``@model`` decorator and the specification it stores on a function.

Worker processes import this module before they can respond, so it imports little.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from attrs import frozen

Function = TypeVar("Function", bound=Callable[..., Any])

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}/[a-z0-9][a-z0-9._-]{0,127}")
ATTRIBUTE = "__dashscope_model__"


class WeightsMarker:
    """Marks the parameter that receives a training's weights."""


Weights = Annotated[Path | None, WeightsMarker]
"""The type of the weights parameter: the file a training returned, or None without a training.

A parameter of this type is not an input of the model.
"""


@frozen(kw_only=True)
class ModelSpec:
    """The arguments of ``@model`` for one function."""

    name: str
    description: str | None
    readme: str | None
    visibility: Literal["public", "private"]
    collections: tuple[str, ...]
    examples: tuple[Mapping[str, Any], ...]
    train: Callable[..., Any] | None
    concatenate: bool | None
    concurrency: int
    memory: int | None


def model(
    name: str,
    *,
    description: str | None = None,
    readme: str | None = None,
    visibility: Literal["public", "private"] = "public",
    collections: Sequence[str] = (),
    examples: Sequence[Mapping[str, Any]] = (),
    train: Callable[..., Any] | None = None,
    concatenate: bool | None = None,
    concurrency: int = 4,
    memory: int | None = None,
) -> Callable[[Function], Function]:
    """Turn a function into a model of the local server. The function itself does not change.

    The function's parameters are the model's inputs. Their types, defaults, ``pydantic.Field``
    bounds, ``Literal`` choices and the docstring's ``Args`` become the version's schema. A
    parameter of type ``pathlib.Path`` receives a file, and a parameter of type ``Weights``
    receives the weights of a training. The return value is the output: JSON, or a ``Path`` or PIL
    image that becomes the URL of a file. A generator function streams its output.

    Args:
        name: The name of the model, as ``owner/name`` in lower case.
        description: One sentence. Defaults to the docstring's first paragraph.
        readme: Markdown text, returned by ``models.readme.get``.
        visibility: ``public`` or ``private``. Only private models can be deleted.
        collections: Slugs of the collections that list the model.
        examples: ``{"input": {...}, "output": ...}`` mappings, returned by
            ``models.examples.list``.
        train: The training function. Its parameters are the inputs of a training, and the ``Path``
            it returns becomes the weights of the new version.
        concatenate: Whether clients join the parts of a generator into one text. Defaults to true
            if the parts are strings.
        concurrency: The maximum number of predictions of one version that run at the same time,
            each in its own process.
        memory: The maximum memory of a worker in bytes. Above it, Python raises ``MemoryError``
            in the worker. Defaults to no limit.

    Returns:
        The decorator.

    Raises:
        ValueError: ``name``, ``concurrency`` or ``memory`` is invalid.

    Example:
        >>> @model("me/shout", description="Says it louder.")
        ... def shout(text: str, times: int = 1) -> str:
        ...     return text.upper() + "!" * times
        >>> shout("hello")
        'HELLO!'
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a valid model name. Use owner/name with lower case letters, digits, "
            f"'.', '_' and '-'."
        )
    if concurrency < 1:
        raise ValueError(f"The concurrency of {name} must be at least 1, not {concurrency}.")
    if memory is not None and memory < 1:
        raise ValueError(f"The memory of {name} must be at least 1 byte, not {memory}.")

    def decorate(function: Function) -> Function:
        spec = ModelSpec(
            name=name,
            description=description,
            readme=readme,
            visibility=visibility,
            collections=tuple(collections),
            examples=tuple(examples),
            train=train,
            concatenate=concatenate,
            concurrency=concurrency,
            memory=memory,
        )
        setattr(function, ATTRIBUTE, spec)
        return function

    return decorate


def spec_of(function: object) -> ModelSpec | None:
    """Return the specification that ``@model`` stored on a function, or None."""
    spec = getattr(function, ATTRIBUTE, None)
    return spec if isinstance(spec, ModelSpec) else None


def unannotated(hint: Any) -> Any:
    """Return a type without the metadata of ``Annotated``."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def is_weights(hint: Any) -> bool:
    """Return whether a parameter of this type receives a training's weights."""
    return get_origin(hint) is Annotated and WeightsMarker in get_args(hint)[1:]
