"""``@model``: what turns a Python function into a model, and the record it leaves on the function.

Light on purpose: worker processes import it before they can answer.
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
    """Marks the parameter that receives what a training made."""


Weights = Annotated[Path | None, WeightsMarker]
"""The type of a parameter that is no input: the file a training returned, or None before any."""


@frozen(kw_only=True)
class ModelSpec:
    """What ``@model`` was told about a function."""

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
    """Make a function a model of the local server; the function itself stays as it was.

    Its parameters are the model's inputs: their types, defaults, ``pydantic.Field`` bounds,
    ``Literal`` choices and the docstring's ``Args`` become the version's schema. A parameter of
    type ``pathlib.Path`` receives a file; one of type ``Weights`` receives what a training made.
    What it returns is the output: JSON, or a ``Path`` or PIL image that becomes a file's URL. A
    generator function streams its parts.

    Args:
        name: ``owner/name``, lower case.
        description: One sentence; the docstring's first paragraph by default.
        readme: Markdown, answered by ``models.readme.get``.
        visibility: ``public`` or ``private``; only private models can be deleted.
        collections: Slugs of the collections that list the model.
        examples: ``{"input": {...}, "output": ...}`` mappings, answered by
            ``models.examples.list``.
        train: The training function: its parameters are a training's inputs, and the ``Path`` it
            returns is the new version's weights.
        concatenate: Whether the parts of a generator join to one text. By default, whether they
            are strings.
        concurrency: How many predictions of one version run at once, each in its own process.
        memory: Bytes of memory a worker may take before Python raises ``MemoryError`` in it; no
            bound by default.

    Returns:
        The decorator.

    Raises:
        ValueError: The name, the concurrency or the memory is not what it has to be.

    Example:
        >>> @model("me/shout", description="Says it louder.")
        ... def shout(text: str, times: int = 1) -> str:
        ...     return text.upper() + "!" * times
        >>> shout("hello")
        'HELLO!'
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"A model is named owner/name in lower case letters, digits, '.', '_' and '-', "
            f"not {name!r}."
        )
    if concurrency < 1:
        raise ValueError(f"The concurrency of {name} has to be 1 or more, not {concurrency}.")
    if memory is not None and memory < 1:
        raise ValueError(f"The memory of {name} has to be a number of bytes, not {memory}.")

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
    """Return what ``@model`` recorded on a function; None where it was not used."""
    spec = getattr(function, ATTRIBUTE, None)
    return spec if isinstance(spec, ModelSpec) else None


def unannotated(hint: Any) -> Any:
    """Return a type without the metadata of ``Annotated``."""
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def is_weights(hint: Any) -> bool:
    """Return whether a parameter of this type receives a training's weights."""
    return get_origin(hint) is Annotated and WeightsMarker in get_args(hint)[1:]
