"""The attributes by which tools recognize a function and read its inputs."""

from __future__ import annotations

import inspect
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from types import CodeType
from typing import Any, Self

from dashscope._functions import signature
from dashscope._functions.schema import ModelSchema
from dashscope._functions.schema_cache import SchemaLoader


class FunctionAttributes:
    """The base of the sync and the async model function.

    `inspect.iscoroutinefunction`, and the tools that call it, take an object for a function if it
    has `__name__`, `__code__`, `__defaults__`, `__kwdefaults__` and `__annotations__`.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        type.__setattr__(cls, "__doc__", _Docstring(cls.__doc__))

    def _become_function(self, loader: SchemaLoader, code: CodeType) -> None:
        self._loader = loader
        # Attributes of the instance, because the class has others of the same names.
        name = signature.identifier(loader.reference.name)
        vars(self).update(
            __name__=name,
            __qualname__=name,
            __annotations__=_Annotations(loader),
            __code__=code,
            __defaults__=None,
            __kwdefaults__=None,
        )

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


class _Signature:
    """`__signature__` of the instances only. That of the class is the one of its constructor."""

    def __get__(self, instance: FunctionAttributes | None, owner: type) -> inspect.Signature:
        if instance is None:
            raise AttributeError(f"type object {owner.__name__!r} has no attribute '__signature__'")
        return signature.signature(_loader_of(instance).require())


class _Docstring:
    """The docstring of a class. That of an instance describes the model."""

    def __init__(self, of_class: str | None) -> None:
        self._of_class = of_class

    def __get__(self, instance: FunctionAttributes | None, owner: type) -> str | None:
        if instance is None:
            return self._of_class
        loader = _loader_of(instance)
        if loader.can_load or loader.known is not None:
            return signature.described(loader.ref, loader.require())
        return f"The model {loader.ref}. To load the description of its inputs, call load()."


FunctionAttributes.__signature__ = _Signature()  # type: ignore[attr-defined] # inspect reads it


def _loader_of(function: FunctionAttributes) -> SchemaLoader:
    loader: SchemaLoader = vars(function)["_loader"]
    return loader


class _Annotations(dict[str, Any]):
    """The annotations of a model function, which need the schema.

    They are computed when their content is read. `inspect.iscoroutinefunction` reads the attribute
    of every function, also in an event loop, and must not cause a request.
    """

    def __init__(self, loader: SchemaLoader) -> None:
        super().__init__()
        self._loader = loader
        self._schema: ModelSchema | None = None

    def _loaded(self) -> dict[str, Any]:
        schema = self._loader.require()
        if schema is not self._schema:
            self._schema = schema
            super().clear()
            super().update(signature.annotations_of(schema))
        return self

    def __contains__(self, name: object) -> bool:
        return dict[str, Any].__contains__(self._loaded(), name)

    def __eq__(self, other: object) -> bool:
        return dict[str, Any].__eq__(self._loaded(), other)

    def __getitem__(self, name: str) -> Any:
        return dict[str, Any].__getitem__(self._loaded(), name)

    def __iter__(self) -> Iterator[str]:
        return dict[str, Any].__iter__(self._loaded())

    def __len__(self) -> int:
        return dict[str, Any].__len__(self._loaded())

    def __repr__(self) -> str:
        return dict[str, Any].__repr__(self._loaded())

    def copy(self) -> dict[str, Any]:
        """Return the annotations as a plain dict."""
        return dict(self.items())

    def get(self, name: str, default: Any = None, /) -> Any:
        """Return an annotation, or the default."""
        return dict[str, Any].get(self._loaded(), name, default)

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """Return the names and the annotations."""
        return dict[str, Any].items(self._loaded())

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        """Return the names."""
        return dict[str, Any].keys(self._loaded())

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """Return the annotations."""
        return dict[str, Any].values(self._loaded())
