"""The catalog of models: registers models and loads the code of their versions."""

import hashlib
import json
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from dashscope.local.decorator import ModelSpec, spec_of
from dashscope.local.models.code import Code, CodeError, load_source, pickled
from dashscope.local.models.signature import Signature, SignatureError, Signatures
from dashscope.local.store import Store
from dashscope.local.store.folder import DataFolder
from dashscope.local.values import Version, new_id, now, timestamp

Function = Callable[..., Any]

COLLECTIONS: Final = {
    "shipped": ("Shipped models", "Models included with every local server."),
    "text": ("Text models", "Models that write text."),
    "images": ("Image models", "Models that create or change images."),
    "streaming": ("Streaming models", "Models that stream their output."),
    "trainable": ("Trainable models", "Models that can be trained."),
}
_SHIPPED: Final = ("hello_world", "thumbnail", "countdown", "markov")


class ModelsError(Exception):
    """A model cannot be registered or loaded. The message says why."""


@frozen(kw_only=True)
class Runnable:
    """A version with its loaded code."""

    version: Version
    spec: ModelSpec
    signature: Signature
    training: Signature | None

    @classmethod
    def of(cls, version: Version, spec: ModelSpec, signatures: Signatures) -> "Runnable":
        """Return a version with its code and the signatures of its function."""
        return cls(
            version=version,
            spec=spec,
            signature=signatures.prediction,
            training=signatures.training,
        )


class Catalog:
    """The models of the server and the loaded code of their versions."""

    def __init__(self, store: Store, folder: DataFolder) -> None:
        self._store = store
        self._folder = folder
        self._loaded: dict[str, Runnable] = {}

    def register(self, models: Path | str | Iterable[Function] | None) -> None:
        """Register the shipped models and the given models.

        Raises:
            ModelsError: One of the models cannot be registered.
        """
        with self._store.transaction():
            self.register_shipped()
            if models is None:
                return
            if isinstance(models, (str, Path)):
                path = Path(models).absolute()
                self.register_functions(path, *read_models(path))
                return
            for function in models:
                self.add(function)

    def register_shipped(self) -> None:
        """Register the shipped models."""
        for path, source, functions in _shipped():
            self.register_functions(path, source, functions)

    def register_functions(
        self, path: Path, source: bytes, functions: Iterable[Function]
    ) -> list[Version]:
        """Register the models that ``read_models`` has returned for a file.

        Raises:
            ModelsError: One of the models cannot be registered.
        """
        versions: list[Version] = []
        with self._store.transaction():
            for function in functions:
                spec = spec_of(function)
                if spec is not None:
                    code = Code(name=spec.name, origin=str(path), payload=source)
                    versions.append(self._register(function, spec, code))
        return versions

    def add(self, function: Function) -> Version:
        """Register one model.

        Raises:
            ModelsError: The function cannot be used as a model.
        """
        spec = spec_of(function)
        if spec is None:
            raise ModelsError(f"{function!r} is not a model. Decorate it with @model.")
        try:
            return self._register(function, spec, pickled(function, spec.name))
        except CodeError as error:
            raise ModelsError(str(error)) from error

    def runnable(self, version: Version) -> Runnable:
        """Return a version with its code. Load the code if it is not loaded yet.

        Raises:
            ModelsError: The code cannot be loaded.
        """
        if version.id not in self._loaded:
            try:
                self._loaded[version.id] = self._load(version)
            except (CodeError, SignatureError, OSError, ValueError) as error:
                raise ModelsError(
                    f"The code of version {version.id} cannot be loaded: {error}"
                ) from error
        return self._loaded[version.id]

    def _load(self, version: Version) -> Runnable:
        function = Code.read(self._folder.code / version.code).load()
        spec = spec_of(function)
        if spec is None:
            raise CodeError(f"{version.model} is not a model")
        return Runnable.of(version, spec, Signatures.of(function))

    def add_trained(self, base: Version, destination: str, weights: str | None) -> Version:
        """Add the version that a training created. It becomes the destination's latest version."""
        return self._add_version(destination, base.schema, base.code, weights, base.id)

    def forget(self, version: Version) -> None:
        """Unload the code of a deleted version."""
        self._loaded.pop(version.id, None)

    def _register(self, function: Function, spec: ModelSpec, code: Code) -> Version:
        try:
            signatures = Signatures.of(function)
        except SignatureError as error:
            raise ModelsError(f"{spec.name}: {error}") from error
        self._upsert_model(spec, signatures.prediction)
        code.write(self._folder.code)
        schema = json.dumps(signatures.openapi_schema(spec.name))
        version = self._add_version(spec.name, schema, code.digest, None, None)
        self._loaded[version.id] = Runnable.of(version, spec, signatures)
        self._store.jobs.replace_examples(
            spec.name, [self._example(version, example) for example in spec.examples]
        )
        return version

    def _upsert_model(self, spec: ModelSpec, signature: Signature) -> None:
        values = {
            "description": spec.description or signature.description,
            "visibility": spec.visibility,
            "readme": spec.readme,
            "collections": json.dumps(spec.collections),
        }
        model = self._store.models.get(spec.name)
        if model is not None:
            self._store.models.update(model, values)
            return
        self._store.models.create(
            spec.name, {**values, "hardware": "cpu", "created_at": timestamp(now())}
        )

    def _add_version(
        self, full_name: str, schema: str, code: str, weights: str | None, base: str | None
    ) -> Version:
        identity = "\n".join([full_name, schema, code, weights or ""])
        version_id = hashlib.sha256(identity.encode()).hexdigest()
        self._store.models.add_version(
            {
                "id": version_id,
                "model": full_name,
                "created_at": timestamp(now()),
                "schema": schema,
                "code": code,
                "weights": weights,
                "base": base,
            }
        )
        version = self._store.models.version(version_id)
        if version is None:
            raise LookupError(f"version {version_id} was deleted")
        return version

    def _example(self, version: Version, example: Any) -> dict[str, Any]:
        return {
            "id": new_id(),
            "kind": "prediction",
            "example": 1,
            "model": version.model,
            "version": version.id,
            "status": "succeeded",
            "input": json.dumps(example["input"]),
            "output": json.dumps(example["output"]),
            "created_at": version.created_at,
            "started_at": version.created_at,
            "completed_at": version.created_at,
        }


def is_shipped(name: str) -> bool:
    """Return whether a model with this name is included with every server."""
    functions = (function for _, _, functions in _shipped() for function in functions)
    return any((spec := spec_of(function)) and spec.name == name for function in functions)


@cache
def _shipped() -> list[tuple[Path, bytes, list[Function]]]:
    """Return the files of the shipped models, with their sources and functions."""
    folder = Path(str(files("dashscope.local.models.shipped")))
    paths = [folder / f"{name}.py" for name in _SHIPPED]
    return [(path, *read_models(path)) for path in paths]


def read_models(path: Path) -> tuple[bytes, list[Function]]:
    """Execute a models file. Return its source and its models.

    Raises:
        ModelsError: The file cannot be read or loaded, or defines no model.
    """
    try:
        source = path.read_bytes()
        functions = load_source(source, path)
    except OSError as error:
        raise ModelsError(f"{path} cannot be read: {error.strerror}.") from error
    except CodeError as error:
        raise ModelsError(str(error)) from error
    if not functions:
        raise ModelsError(f"{path} defines no model. Decorate a function with @model.")
    return source, functions
