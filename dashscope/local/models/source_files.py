"""Loads a models file, and loads it again when it or a module beside it changes."""

import contextlib
import sys
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from attrs import frozen

from dashscope.local.models.catalog import Catalog, ModelsError, read_models
from dashscope.local.models.code import CodeError, Function, traceback_of
from dashscope.local.values import Version

_INSTALLED: Final = {"site-packages", "dist-packages"}

Stamp = tuple[int, int, int] | None
"""Modification time, size and inode of a file, or None if there is no file."""


@frozen
class Loaded:
    """The models of a file."""

    source: bytes
    functions: list[Function]


class ModelsFile:
    """A models file and the modules that it imports from its own folder.

    ``problem`` says why the file cannot be loaded, or is None. Until it is fixed, the models of the
    last successful load stay registered.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.problem: str | None = None
        self._modules: dict[str, Path] = {}
        self._stamps: dict[Path, Stamp] = {}

    def has_changed(self) -> bool:
        """Return whether a file was changed, added or removed since ``read``."""
        return self._look() != self._stamps

    def read(self) -> Loaded | None:
        """Execute the file with fresh imports. Return None if that fails."""
        for name, file in self._modules.items():
            sys.modules.pop(name, None)
            # Python would use it after an edit in the same second that keeps the size.
            with contextlib.suppress(OSError):
                Path(cache_from_source(file)).unlink()
        before = set(sys.modules)
        self._stamps = self._look()
        loaded: Loaded | None = None
        try:
            loaded = Loaded(*read_models(self.path))
            self.problem = None
        except ModelsError as error:
            self.problem = describe_problem(error)
        new = set(sys.modules) - before
        # Keep the modules of a failed attempt: the mistake may be in one that could be imported.
        self._modules |= {name: path for name in new if (path := self._own_module(name))}
        # Do not miss an edit during the execution.
        self._stamps = {**self._look(), **self._stamps}
        return loaded

    def register(self, catalog: Catalog, loaded: Loaded) -> list[Version]:
        """Register what ``read`` returned. Return an empty list if that fails."""
        try:
            return catalog.register_functions(self.path, loaded.source, loaded.functions)
        except ModelsError as error:
            self.problem = describe_problem(error)
            return []

    def _look(self) -> dict[Path, Stamp]:
        beside = self.path.parent.glob("*.py")
        return {path: stamp(path) for path in {self.path, *beside, *self._modules.values()}}

    def _own_module(self, name: str) -> Path | None:
        """Return the file of a module in the folder of the models file, or None."""
        file: str | None = getattr(sys.modules.get(name), "__file__", None)
        if file is None or name.startswith("dashscope_models_"):
            return None
        path = Path(file)
        if not path.is_relative_to(self.path.parent):
            return None
        return None if _INSTALLED & set(path.parts) else path


def stamp(path: Path) -> Stamp:
    """Return what changes when a file is edited."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def describe_problem(error: ModelsError) -> str:
    """Return the message of an error and the traceback inside the models file."""
    cause = error.__cause__
    trace = traceback_of(cause) if isinstance(cause, CodeError) else ""
    return f"{error}\n\n{trace}".rstrip()
