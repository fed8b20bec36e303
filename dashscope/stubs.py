"""Typed stubs of models, for completion in editors and for type checkers.

If `models.py` creates model functions, `models.pyi` beside it describes their inputs:

    python -m dashscope.stubs dashscope/hello-world dashscope/thumbnail > models.pyi

`dashscope models stubs` does the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from dashscope._common.urls import Reference
from dashscope._errors import DashscopeError
from dashscope._files.file_output import AsyncFileOutput
from dashscope._functions.schema import Input, ModelSchema, schema_of
from dashscope._functions.signature import (
    FILE,
    abridged,
    described,
    free_name,
    hint,
    identifier,
    shown,
    type_of,
)
from dashscope._sync.generated import Client, FileOutput

_HEADER: Final = """\
# Written by `dashscope models stubs`. Run it again when a model has changed.

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, Required, TypeAlias, TypedDict

from dashscope import {imports}

_File: TypeAlias = Path | bytes | BinaryIO
"""


@frozen
class _Stub:
    """A model in a stub file.

    Attributes:
        ref: The reference of the model.
        schema: The schema of the model.
        name: The name of the variable.
    """

    ref: str
    schema: ModelSchema
    name: str

    @property
    def cls(self) -> str:
        """The name of the model's class."""
        return self._stem + "Model"

    @property
    def inputs(self) -> str:
        """The name of the type of the model's inputs."""
        return self._stem + "Input"

    @property
    def _stem(self) -> str:
        return "".join(part[:1].upper() + part[1:] for part in self.name.split("_"))


def stubs(models: Mapping[str, ModelSchema], *, blocking: bool = False) -> str:
    """Return the text of a stub file.

    Args:
        models: The schemas, by model reference.
        blocking: Whether to write the functions of a `Client` instead of an `AsyncClient`.

    Returns:
        A module with one variable per model, named like the model: `hello_world`.
    """
    prefix = "" if blocking else "Async"
    imports = sorted(["Prediction", *(f"{prefix}{name}" for name in _IMPORTS)], key=str.lower)
    lines = [_HEADER.format(imports=", ".join(imports))]
    for stub in _named(models):
        lines += ["", *_inputs(stub), "", *_class(stub, prefix), "", f"{stub.name}: {stub.cls}", ""]
    return "\n".join(lines)


_IMPORTS: Final = ("EventStream", "FileOutput", "ModelFunction")


def _named(models: Mapping[str, ModelSchema]) -> Iterator[_Stub]:
    references = {ref: Reference.parse(ref) for ref in models}
    short = {ref: identifier(reference.name) for ref, reference in references.items()}
    long = {
        ref: identifier(f"{reference.owner}_{reference.name}")
        for ref, reference in references.items()
    }
    counts = Counter(short.values())
    taken: set[str] = set()
    for ref, schema in models.items():
        name = short[ref] if counts[short[ref]] == 1 else long[ref]
        stub, number = _Stub(ref, schema, name), 1
        while stub.cls in taken:  # such as two versions of one model
            number += 1
            stub = _Stub(ref, schema, f"{name}_{number}")
        taken.add(stub.cls)
        yield stub


def _inputs(stub: _Stub) -> Iterator[str]:
    yield f"{stub.inputs} = TypedDict("
    yield f'    "{stub.inputs}",'
    yield "    {"
    for entry in stub.schema.inputs:
        kind = _input_type(stub, entry)
        kind = f"Required[{kind}]" if entry.required else kind
        yield f"        {json.dumps(entry.name)}: {kind},"
    yield "    },"
    yield "    total=False,"
    yield ")"


def _class(stub: _Stub, prefix: str) -> Iterator[str]:
    head = ", ".join([free_name("self", stub.schema), "/", *_parameters(stub)])
    file = AsyncFileOutput if prefix else FileOutput
    output = _type(hint(stub.schema, stub.schema.output, file=file), takes=False)
    await_ = "async " if prefix else ""
    yield f"class {stub.cls}({prefix}ModelFunction):"
    yield f"    {await_}def __call__({head}) -> {output}:"
    yield from _docstring(described(stub.ref, stub.schema))
    yield f"    def stream({head}) -> {prefix}EventStream: ..."
    yield f"    {await_}def create({head}) -> Prediction: ..."


def _parameters(stub: _Stub) -> Iterator[str]:
    for entry in stub.schema.parameters:
        text = f"{entry.name}: {_input_type(stub, entry)}"
        required = entry.required and not entry.has_default
        yield text if required else f"{text} = {_default(entry)}"
    if len(stub.schema.parameters) < len(stub.schema.inputs) or not stub.schema.is_known:
        yield f"**{free_name('inputs', stub.schema)}: Any"


def _default(entry: Input) -> str:
    value = entry.default
    if not isinstance(value, bool | int | float | str | None):
        return "..."
    return abridged(value)


def _input_type(stub: _Stub, entry: Input) -> str:
    return _type(type_of(stub.schema, entry, FILE | str))


def _type(annotation: Any, *, takes: bool = True) -> str:
    # Inputs accept any sequence: `list` is invariant and would refuse a list of file outputs.
    containers: dict[type, str] = {list: "Sequence", dict: "Mapping"} if takes else {}
    return shown(annotation, file="_File", containers=containers)


def _docstring(text: str) -> Iterator[str]:
    escaped = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    first, *others = escaped.splitlines()
    yield f'        """{first}'
    yield from (f"        {line}".rstrip() for line in others)
    yield '        """'


def fetch(client: Client, refs: Sequence[str]) -> dict[str, ModelSchema]:
    """Fetch the schemas of models.

    Args:
        client: The client.
        refs: The models, as `owner/name` or `owner/name:version`.

    Returns:
        The schemas, by reference.

    Raises:
        ValueError: If a reference is malformed.
        NotFoundError: If there is no such model or version.
    """
    references = {ref: Reference.parse(ref) for ref in refs}
    found: dict[str, ModelSchema] = {}
    for ref, reference in references.items():
        owner, name, id = reference.owner, reference.name, reference.version
        if id is None:
            found[ref] = schema_of(client.models.get(owner, name).latest_version)
        else:
            found[ref] = schema_of(client.models.versions.get(owner, name, id))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the stubs of models: `python -m dashscope.stubs`."""
    parser = argparse.ArgumentParser(
        prog="python -m dashscope.stubs",
        description="Print typed stubs of models, for a models.pyi beside your models.py.",
    )
    parser.add_argument("models", nargs="+", metavar="owner/name[:version]")
    parser.add_argument("--blocking", action="store_true", help="for a Client's functions")
    given = parser.parse_args(arguments)
    try:
        with Client() as client:
            text = stubs(fetch(client, given.models), blocking=given.blocking)
    except (DashscopeError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
