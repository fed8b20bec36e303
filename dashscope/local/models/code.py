"""A model's code on its way from the server to a worker: a file's text, or a pickled function.

Both sides load it here: the server to read the signature, the worker to call the function.
"""

import hashlib
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle as untyped  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from attrs import frozen

from dashscope.local.decorator import spec_of

cloudpickle: Any = untyped

Function = Callable[..., Any]


class CodeError(Exception):
    """A model's code cannot be loaded, or is no model."""


@frozen(kw_only=True)
class Code:
    """The code of a model: ``origin`` is the file it came from, None for a pickled function."""

    name: str
    origin: str | None
    payload: bytes

    @property
    def digest(self) -> str:
        """What names this code, and changes with it."""
        head = f"{self.name}\n{'source' if self.origin else 'pickle'}\n"
        return hashlib.sha256(head.encode() + self.payload).hexdigest()

    def write(self, folder: Path) -> None:
        """Store it in a folder under its digest, where ``read`` and the workers find it."""
        path = folder / self.digest
        if not path.exists():
            partial = path.with_suffix(".partial")
            head = f"{self.name}\n{self.origin or ''}\n"
            partial.write_bytes(head.encode() + self.payload)
            partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Code":
        """Read what ``write`` wrote."""
        name, origin, payload = path.read_bytes().split(b"\n", 2)
        return cls(name=name.decode(), origin=origin.decode() or None, payload=payload)

    def load(self) -> Function:
        """Return the function.

        Raises:
            CodeError: The code raises, or does not define the model.
        """
        if self.origin is None:
            try:
                function: Function = cloudpickle.loads(self.payload)
            except Exception as error:
                raise CodeError(f"{self.name} cannot be unpickled: {describe(error)}") from error
            return function
        for function in load_source(self.payload, Path(self.origin)):
            spec = spec_of(function)
            if spec is not None and spec.name == self.name:
                return function
        raise CodeError(f"{self.origin} defines no model named {self.name}.")


def load_source(source: bytes, origin: Path) -> list[Function]:
    """Run the text of a models file, and return the models it defines, in its order.

    Raises:
        CodeError: It does not run to its end.
    """
    module = ModuleType(f"dashscope_models_{hashlib.sha256(source).hexdigest()[:16]}")
    module.__file__ = str(origin)
    # Classes of the file are pickled and resolved by their module's name.
    sys.modules[module.__name__] = module
    folder = str(origin.parent)
    if folder not in sys.path:
        # The file may import its neighbours, as a script may.
        sys.path.append(folder)
    try:
        exec(compile(source, str(origin), "exec"), module.__dict__)  # noqa: S102
    except (Exception, SystemExit) as error:
        raise CodeError(f"{origin} cannot be loaded: {describe(error)}") from error
    functions: list[Function] = []
    for value in vars(module).values():
        if spec_of(value) is not None and value not in functions:
            functions.append(value)
    return functions


def pickled(function: Function, name: str) -> Code:
    """Return the code of a function that lives in this process, be it local to another one.

    Raises:
        CodeError: It refers to something that cannot be pickled.
    """
    module = importlib.import_module(function.__module__)
    # By value, for the worker may not be able to import the module, a test's for example.
    by_value = function.__module__ not in cloudpickle.list_registry_pickle_by_value()
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        payload: bytes = cloudpickle.dumps(function)
    except Exception as error:
        raise CodeError(f"{name} cannot be sent to a worker: {describe(error)}") from error
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)
    return Code(name=name, origin=None, payload=payload)


def describe(error: BaseException) -> str:
    """Write an error as its name and what it says."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
