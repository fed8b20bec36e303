"""The code of a model: the source of a file, or a pickled function.

The server loads the code to read the signature, and the worker to call the function.
"""

import hashlib
import importlib
import sys
import traceback
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
    """The code of a model cannot be loaded, or does not define the model."""


@frozen(kw_only=True)
class Code:
    """The code of a model. ``origin`` is its file, or None for a pickled function."""

    name: str
    origin: str | None
    payload: bytes

    @property
    def digest(self) -> str:
        """A digest of the code, which is also its file name."""
        head = f"{self.name}\n{'source' if self.origin else 'pickle'}\n"
        return hashlib.sha256(head.encode() + self.payload).hexdigest()

    def write(self, folder: Path) -> None:
        """Write the code to a folder, with its digest as the file name."""
        path = folder / self.digest
        if not path.exists():
            partial = path.with_suffix(".partial")
            head = f"{self.name}\n{self.origin or ''}\n"
            partial.write_bytes(head.encode() + self.payload)
            partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Code":
        """Read the code that ``write`` wrote."""
        name, origin, payload = path.read_bytes().split(b"\n", 2)
        return cls(name=name.decode(), origin=origin.decode() or None, payload=payload)

    def load(self) -> Function:
        """Load the code and return the function.

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
    """Execute the source of a models file, and return its models in the order of definition.

    Raises:
        CodeError: The source raises an exception.
    """
    module = ModuleType(f"dashscope_models_{hashlib.sha256(source).hexdigest()[:16]}")
    module.__file__ = str(origin)
    # Pickle and typing look up the classes of the file by the name of their module.
    sys.modules[module.__name__] = module
    folder = str(origin.parent)
    if folder not in sys.path:
        # Like a script, the file can import modules in its own folder.
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
    """Return the code of a function in this process. Nested functions work too.

    Raises:
        CodeError: The function refers to an object that cannot be pickled.
    """
    module = importlib.import_module(function.__module__)
    # Pickle the module by value: the worker may not be able to import it, for example a test.
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


def traceback_of(error: CodeError) -> str:
    """Return the traceback inside the code of the model, or an empty string if there is none."""
    cause = error.__cause__
    if cause is None:
        return ""
    trace = cause.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(cause), cause, trace))


def describe(error: BaseException) -> str:
    """Return the class name and message of an error."""
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
