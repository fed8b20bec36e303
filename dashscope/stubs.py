"""Typed stubs of models, for completion in editors and for type checkers.

If `models.py` creates model functions, `models.pyi` beside it describes their inputs:

    python -m dashscope.stubs models.py > models.pyi

The functions are sync or async like the client that creates them, and keep the names they have in
`models.py`. Model references work in place of a file. `dashscope models stubs` does the same.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from attrs import field, frozen

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

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from os import PathLike
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
        stem: What the names of its classes start with.
        is_blocking: Whether it is a function of a `Client`.
    """

    ref: str
    schema: ModelSchema
    name: str
    stem: str
    is_blocking: bool

    @property
    def cls(self) -> str:
        """The name of the model's class."""
        return self.stem + "Model"

    @property
    def inputs(self) -> str:
        """The name of the type of the model's inputs."""
        return self.stem + "Input"


@frozen
class Names:
    """The names of a module that creates model functions.

    Attributes:
        functions: The model reference of each model function, by name.
        blocking: The functions of a `Client`. The others are those of an `AsyncClient`.
        clients: Whether each client is a `Client`, by name.
        others: The other names of the module.
    """

    functions: Mapping[str, str] = field(factory=dict[str, str])
    blocking: frozenset[str] = frozenset()
    clients: Mapping[str, bool] = field(factory=dict[str, bool])
    others: tuple[str, ...] = ()


def names_in(source: str) -> Names:
    """Return the clients and the model functions that a module assigns to names.

    Args:
        source: The source code.

    Raises:
        SyntaxError: If it is not Python.
    """
    clients: dict[str, bool] = {}
    functions: dict[str, str] = {}
    blocking: set[str] = set()
    others: list[str] = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            others.append(node.name)
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for name in [target.id for target in targets if isinstance(target, ast.Name)]:
            call = getattr(node, "value", None)
            function = ast.unparse(call.func) if isinstance(call, ast.Call) else ""
            owner, _, method = function.rpartition(".")
            if method in ("Client", "AsyncClient"):
                clients[name] = method == "Client"
            elif method == "use" and isinstance(call, ast.Call) and (ref := _ref_in(call)):
                functions[name] = ref
                if clients.get(owner, owner.startswith(("Client(", "dashscope.Client("))):
                    blocking.add(name)
            else:
                others.append(name)
    return Names(functions, frozenset(blocking), clients, tuple(dict.fromkeys(others)))


def _ref_in(call: ast.Call) -> str | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "ref"]
    ref = next(iter([*call.args, *named]), None)
    return ref.value if isinstance(ref, ast.Constant) and isinstance(ref.value, str) else None


def stubs(
    models: Mapping[str, ModelSchema], *, blocking: bool = False, names: Names | None = None
) -> str:
    """Return the text of a stub file.

    Args:
        models: The schemas, by model reference.
        blocking: Whether to write the functions of a `Client` instead of an `AsyncClient`.
        names: The names in the module that the stub is for. They replace `blocking`.

    Returns:
        A module with one variable per model, named as in `names`, or like the model: `hello_world`.
    """
    if names is None:
        found = list(_named(models, blocking=blocking))
        clients: Mapping[str, bool] = {"client": blocking}
        others: tuple[str, ...] = ()
    else:
        taken = Counter(map(_stem, names.functions))
        found = [
            _Stub(
                ref,
                models[ref],
                name,
                name if taken[_stem(name)] > 1 else _stem(name),
                name in names.blocking,
            )
            for name, ref in names.functions.items()
        ]
        clients, others = names.clients, names.others
    flavors = {*(stub.is_blocking for stub in found), *clients.values()}
    imports = {"Prediction", "BatchProgress"}
    for flavor in flavors:
        imports |= {f"{'' if flavor else 'Async'}{name}" for name in _IMPORTS}
    lines = [_HEADER.format(imports=", ".join(sorted(imports, key=str.lower)))]
    lines += [f"{name}: {'' if is_sync else 'Async'}Client" for name, is_sync in clients.items()]
    lines += [f"{name}: Any" for name in others]
    for stub in found:
        lines += ["", *_inputs(stub), "", *_class(stub), "", f"{stub.name}: {stub.cls}", ""]
    return "\n".join(lines)


_IMPORTS: Final = ("Batch", "Client", "EventStream", "FileOutput", "ModelFunction")


def _stem(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _named(models: Mapping[str, ModelSchema], *, blocking: bool) -> Iterator[_Stub]:
    references = {ref: Reference.parse(ref) for ref in models}
    short = {ref: identifier(reference.name) for ref, reference in references.items()}
    long = {
        ref: identifier(f"{reference.owner}_{reference.name}")
        for ref, reference in references.items()
    }
    counts = Counter([*short.values(), "client"])
    taken: set[str] = set()
    for ref, schema in models.items():
        name = unique = short[ref] if counts[short[ref]] == 1 else long[ref]
        number = 1
        while _stem(unique) in taken:  # such as two versions of one model
            number += 1
            unique = f"{name}_{number}"
        taken.add(_stem(unique))
        yield _Stub(ref, schema, unique, _stem(unique), blocking)


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


def _class(stub: _Stub) -> Iterator[str]:
    prefix, await_ = ("", "") if stub.is_blocking else ("Async", "async ")
    head = ", ".join([free_name("self", stub.schema), "/", *_parameters(stub)])
    file = FileOutput if stub.is_blocking else AsyncFileOutput
    output = _type(hint(stub.schema, stub.schema.output, file=file), takes=False)
    rows = f"Iterable[{stub.inputs}]"
    if not stub.is_blocking:
        rows += f" | AsyncIterable[{stub.inputs}]"
    yield f"class {stub.cls}({prefix}ModelFunction):"
    yield f"    {await_}def __call__({head}) -> {output}:"
    yield from _docstring(described(stub.ref, stub.schema))
    yield f"    def stream({head}) -> {prefix}EventStream: ..."
    yield f"    {await_}def create({head}) -> Prediction: ..."
    yield _MAP.format(rows=rows, batch=f"{prefix}Batch")


_MAP: Final = """\
    def map(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        inputs: {rows},
        *,
        concurrency: int = 32,
        ordered: bool = False,
        checkpoint: str | PathLike[str] | None = None,
        resume: Literal["yield", "skip"] = "yield",
        on_error: Literal["yield", "raise"] = "yield",
        on_unknown: Literal["error", "recreate"] = "error",
        max_rate: float | None = None,
        progress: Callable[[BatchProgress], object] | None = None,
        poll_interval: float | None = None,
    ) -> {batch}: ..."""


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


def stubs_for(client: Client, arguments: Sequence[str], *, blocking: bool) -> str:
    """Return the stubs for a module or for models.

    Args:
        client: The client.
        arguments: The path of a module, such as `models.py`, or references of models.
        blocking: Whether the functions are those of a `Client`. Ignored for a module.

    Returns:
        The text of the stub file.

    Raises:
        ValueError: If a reference is malformed, or the module is not Python or has no model
            function.
        OSError: If the module cannot be read.
        NotFoundError: If there is no such model or version.
    """
    if not arguments[0].endswith(".py"):
        return stubs(fetch(client, arguments), blocking=blocking)
    (path,) = arguments
    try:
        names = names_in(Path(path).read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ValueError(f"{path} is not valid Python: {error}") from error
    if not names.functions:
        raise ValueError(f'{path} has no model function, such as: hello = client.use("owner/name")')
    return stubs(fetch(client, list(dict.fromkeys(names.functions.values()))), names=names)


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
    parser.add_argument("models", nargs="+", metavar="models.py | owner/name[:version]")
    parser.add_argument("--blocking", action="store_true", help="for a Client's functions")
    given = parser.parse_args(arguments)
    try:
        with Client() as client:
            text = stubs_for(client, given.models, blocking=given.blocking)
    except (DashscopeError, OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
