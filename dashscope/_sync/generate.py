"""Writes `generated.py`, the sync facade, from the async classes.

`AsyncX` becomes `X`, `async def` becomes `def`, a body becomes a drive of the async one;
signatures, overloads and docstrings carry over, their examples without `await`. Run it as
`python -m dashscope._sync.generate` (or `nox -s generate`); it needs ruff, which formats.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from attrs import frozen

PACKAGE: Final = Path(__file__).parents[1]
TARGET: Final = PACKAGE / "_sync" / "generated.py"
MODULES: Final = (
    "_files.download",
    "_files.file_output",
    "_predictions.stream",
    "_batch.batch",
    "resources.account",
    "resources.collections",
    "resources.deployments",
    "resources.files",
    "resources.hardware",
    "resources.models",
    "resources.predictions",
    "resources.trainings",
    "resources.webhooks",
    "_functions.function",
    "_client",
)
"""Where the async classes are; those with `Async` in front, and no underscore, get a sync class."""

ENGINE = ("ClosingIterator", "Facade", "drive_next", "each", "enter_block", "exit_block", "view")
PUBLIC: Final = frozenset(
    {"Batch", "Client", "Download", "EventStream", "FileOutput", "ModelFunction"}
)
"""The classes that `dashscope` exports."""
HEADER: Final = '''\
"""The sync client. Generated from the async one by `python -m dashscope._sync.generate`.

Never edit it: change the async class, and generate it anew.
"""

# pyright: reportPrivateUsage=false, reportIncompatibleMethodOverride=false

from __future__ import annotations
'''

_DOC_CHANGES: Final = (
    (r"\basync (with|for|def)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\baclose\b", "close"),
    (r"\bAsync([A-Z]\w+)", r"\1"),
    (r"httpx\.AsyncClient", "httpx.Client"),
    (r"an iterable or async iterable", "an iterable"),
    (r"An async generator", "An iterator"),
    (r" \(or coroutine functions\)", ""),
    (r"for `async` code", "for code without `await`"),
    (r"between\n?\s+tasks, threads and event loops", "between threads"),
    (r"once for each\s+event loop and process", "once for each process"),
    (r"the event loop and process of its first use", "the process that creates this client"),
)


_SYNC_NAMES: Final = {
    "__call__": "__call__",
    "_repr_html_": "_repr_html_",
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}


@frozen
class Method:
    """A public method or property of an async class."""

    node: ast.AsyncFunctionDef | ast.FunctionDef

    @property
    def name(self) -> str:
        """Its name in the sync class."""
        return _SYNC_NAMES.get(self.node.name, self.node.name)

    @property
    def decorators(self) -> list[str]:
        """Its decorators, as text."""
        return [ast.unparse(decorator) for decorator in self.node.decorator_list]

    @property
    def is_property(self) -> bool:
        """Is it read without a call?"""
        return bool({"property", "cached_property"} & set(self.decorators))


class Module:
    """The source of one module: its async classes, and where its names come from."""

    def __init__(self, name: str) -> None:
        path = PACKAGE.joinpath(*name.split(".")).with_suffix(".py")
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.name = f"dashscope.{name}"
        self.origins = dict(self._origins())

    def classes(self) -> list[ast.ClassDef]:
        """Its public async classes."""
        return [
            node
            for node in self.tree.body
            if isinstance(node, ast.ClassDef)
            and re.match(r"Async[A-Z]", node.name)
            and node.name != "AsyncResource"
        ]

    def _origins(self) -> Iterator[tuple[str, str]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield alias.name, f"import {alias.name}"
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    yield alias.name, f"from {node.module} import {alias.name}"
        for node in self.tree.body:
            names: Sequence[ast.expr] = ()
            if isinstance(node, ast.ClassDef):
                yield node.name, f"from {self.name} import {node.name}"
            elif isinstance(node, ast.Assign):
                names = node.targets
            elif isinstance(node, ast.AnnAssign):
                names = [node.target]
            for target in names:
                if isinstance(target, ast.Name):
                    yield target.id, f"from {self.name} import {target.id}"


class SyncAnnotation(ast.NodeTransformer):
    """Turns an annotation of async code into that of its sync counterpart."""

    def __init__(self, origins: Mapping[str, str]) -> None:
        self._origins = origins

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        """`AsyncGenerator[T, None]` is a `ClosingIterator[T]`, `Awaitable[T]` a `T`."""
        if isinstance(node.value, ast.Name):
            if node.value.id == "AsyncGenerator" and isinstance(node.slice, ast.Tuple):
                item: ast.expr = self.visit(node.slice.elts[0])
                return ast.Subscript(ast.Name("ClosingIterator"), item)
            if node.value.id == "Awaitable":
                result: ast.expr = self.visit(node.slice)
                return result
        self.generic_visit(node)
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """`Iterable[T] | AsyncIterable[T]` is an `Iterable[T]`."""
        self.generic_visit(node)
        return node.left if ast.unparse(node.left) == ast.unparse(node.right) else node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """`AsyncX` is `X`; what a package exports is named as its attribute."""
        origin = re.match(r"from dashscope\.(\w+)\.", self._origins.get(node.id, ""))
        sync_name = _sync_name(node.id)
        if sync_name == node.id and origin is not None and _exports(origin[1], node.id):
            return ast.Attribute(ast.Name(origin[1]), node.id)
        return ast.Name(sync_name)

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        """`resources.AsyncX` is `X`, `protocols.AsyncX` is `protocols.X`."""
        sync_name = _sync_name(node.attr)
        if sync_name != node.attr and _exports(ast.unparse(node.value), node.attr):
            return ast.Name(sync_name)
        return ast.Attribute(node.value, sync_name)


class Writer:
    """Writes the sync classes and collects the imports that they need."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = modules
        self.sync_names = {
            _sync_name(cls.name): cls.name for mod in modules for cls in mod.classes()
        }
        self.lines: list[str] = []
        self.runtime: set[str] = set()
        self._overloaded: set[str] = set()

    def write(self) -> str:
        """The text of `generated.py`, unformatted."""
        self.runtime.add(
            "from dashscope import "
            "_batch, _client, _files, _functions, _predictions, resources, types"
        )
        self.runtime.add("from typing import Any")
        self.runtime.add("from collections.abc import Iterator")
        for module in self.modules:
            for cls in module.classes():
                self._class(module, cls)
        return "\n".join([*self._imports(), *self.lines, *self._end()]) + "\n"

    def _imports(self) -> Iterator[str]:
        yield HEADER
        yield from sorted(
            self.runtime
            | {
                "from typing import cast",
                "from dashscope._client import driven_client",
                "from dashscope._runtime.drive import drive",
                f"from dashscope._sync.facade import {', '.join(ENGINE)}",
            }
        )

    def _end(self) -> Iterator[str]:
        owned = [
            sync_name
            for sync_name, source in self.sync_names.items()
            if source == "AsyncFileOutput"
        ]
        yield (
            "_OWNED = {" + ", ".join(f'"{self.sync_names[name]}": {name}' for name in owned) + "}"
        )
        yield "def _own(value: Any) -> Any:"
        yield '    """The sync counterpart of a value that does I/O."""'
        yield "    return _OWNED[type(value).__name__](value)"

    def _class(self, module: Module, cls: ast.ClassDef) -> None:
        name = _sync_name(cls.name)
        is_str = any(ast.unparse(base) == "str" for base in cls.bases)
        self._add(f"class {name}({'str' if is_str else 'Facade'}):", _doc(cls, 1))
        self._add(*(['    __slots__ = ("_async",)'] if is_str else []))
        self._add(f"    _async: {_qualified(module, cls)}")
        if is_str:
            self._str_class(module, cls)
        if any(getattr(node, "name", "") == "__call__" for node in cls.body):
            self._function_class(module, cls)
        for node in cls.body:
            if not isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                continue
            if node.name == "__init__" and cls.name == "AsyncClient":
                self._constructor(module, node)
            elif not node.name.startswith("_") or node.name in _SYNC_NAMES:
                self._method(module, Method(node))
        if cls.name == "AsyncClient":
            self._add("    def __reduce__(self) -> Any:", "        return self._async.__reduce__()")
        if name in PUBLIC:
            self._add(f'{name}.__module__ = "dashscope"')

    def _str_class(self, module: Module, cls: ast.ClassDef) -> None:
        self.runtime.add("from typing import Self")
        self._add(
            f"    def __new__(cls, async_impl: {_qualified(module, cls)}) -> Self:",
            "        self = super().__new__(cls, async_impl)",
            "        self._async = async_impl",
            "        return self",
            "    def __reduce__(self) -> Any:",
            "        return self._async.__reduce__()",
        )

    def _function_class(self, module: Module, cls: ast.ClassDef) -> None:
        self._add(
            f"    def __init__(self, async_impl: {_qualified(module, cls)}) -> None:",
            "        super().__init__(async_impl)",
            "        async_impl._appear_as(self)",
        )

    def _constructor(self, module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        arguments = self._signature(module, node)
        self._add(f"    def __init__({arguments}) -> None:")
        # As in the async one: a traceback with variables would show the token.
        self._add("        token = Token.given(api_token)", "        del api_token")
        self.runtime.add("from dashscope._common.secrets import Token")
        passed = _passed(node.args).replace("api_token", "token", 1)
        self._add(f"        super().__init__(driven_client(_own, {passed}))")

    def _method(self, module: Module, method: Method) -> None:
        node = method.node
        returns = self._annotation(module, node.returns)
        for decorator in method.decorators:
            self._add(f"    @{decorator}")
            self.runtime.add(module.origins.get(decorator, ""))
        arguments = self._signature(module, node)
        self._add(f"    def {method.name}({arguments}) -> {returns}:")
        if "overload" in method.decorators:
            self._overloaded.add(node.name)
            self._add("        ...")
            return
        self._add(_doc(node, 2), f"        {self._body(method, returns)}")

    def _body(self, method: Method, returns: str) -> str:
        node = method.node
        # A call that depends on the type of its argument is not typed a second time here.
        overloaded = node.name in self._overloaded
        call = f"cast('Any', self._async).{node.name}" if overloaded else f"self._async.{node.name}"
        if not method.is_property:
            call += f"({_passed(node.args)})"
        if isinstance(node, ast.AsyncFunctionDef) and not returns.startswith("ClosingIterator["):
            call = f"drive({call})"
        if method.name == "__enter__":
            return "return enter_block(self, self._async)"
        if method.name == "__exit__":
            return f"exit_block(self._async, {_passed(node.args)})"
        if method.name == "__iter__":
            return "return self" if returns == "Self" else "return each(self._async)"
        if method.name == "__next__":
            return f"return drive_next({call.removeprefix('drive(')}"
        if returns == "None":
            return call
        if node.name == "with_options":
            return f"return view(self, {call})"
        if node.name in self._overloaded:
            return f"return cast('{returns}', {call})"
        if returns in self.sync_names:
            return f"return {returns}({call})"
        if returns.startswith("ClosingIterator["):
            return f"return ClosingIterator({call})"
        return f"return {call}"

    def _signature(self, module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
        for argument in every:
            if argument.annotation is not None:
                self._annotation(module, argument.annotation)
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.runtime |= set(self._names(module, default))
        copy = ast.parse(f"def f({ast.unparse(arguments)}): ...").body[0]
        assert isinstance(copy, ast.FunctionDef)
        return ast.unparse(SyncAnnotation(module.origins).visit(copy.args))

    def _annotation(self, module: Module, node: ast.expr | None) -> str:
        assert node is not None, "the async classes are annotated throughout"
        annotation = SyncAnnotation(module.origins).visit(
            ast.parse(ast.unparse(node), mode="eval").body
        )
        self.runtime |= set(self._names(module, annotation))
        return ast.unparse(annotation)

    def _names(self, module: Module, node: ast.AST) -> Iterator[str]:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and inner.id not in self.sync_names:
                origin = module.origins.get(inner.id)
                if origin is not None:
                    yield origin

    def _add(self, *lines: str) -> None:
        self.lines.extend(line for line in lines if line)


def _qualified(module: Module, cls: ast.ClassDef) -> str:
    """The name of an async class as an attribute of the package that exports it."""
    return f"{module.name.split('.')[1]}.{cls.name}"


def _exports(package: str, name: str) -> bool:
    """Return whether a package of ours exports a name."""
    init = PACKAGE / package / "__init__.py"
    return init.exists() and f'"{name}"' in init.read_text(encoding="utf-8")


def _sync_name(name: str) -> str:
    return name.removeprefix("Async") if re.match(r"Async[A-Z]", name) else name


def _passed(arguments: ast.arguments) -> str:
    """The arguments of a function, handed on to one with the same signature."""
    passed = [
        f"cast('Any', {arg.arg})" if _takes_awaitable(arg) else arg.arg
        for arg in (*arguments.posonlyargs, *arguments.args)
        if arg.arg != "self"
    ]
    if arguments.vararg is not None:
        passed.append(f"*{arguments.vararg.arg}")
    passed += [f"{arg.arg}={arg.arg}" for arg in arguments.kwonlyargs]
    if arguments.kwarg is not None:
        passed.append(f"**{arguments.kwarg.arg}")
    return ", ".join(passed)


def _takes_awaitable(argument: ast.arg) -> bool:
    """Is this a function whose result the async client awaits, and ours takes as it is?"""
    return argument.annotation is not None and "Awaitable[" in ast.unparse(argument.annotation)


def _doc(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, depth: int) -> str:
    text = ast.get_docstring(node)
    if text is None:
        return ""
    for pattern, replacement in _DOC_CHANGES:
        text = re.sub(pattern, replacement, text)
    indent = "    " * depth
    lines = [f"{indent}{line}" if line else "" for line in text.splitlines()]
    lines[0] = f'{indent}"""{text.splitlines()[0]}'
    if len(lines) == 1:
        return f'{lines[0]}"""'
    return "\n".join([*lines, f'{indent}"""'])


def generate() -> str:
    """The text of `generated.py`."""
    text = Writer([Module(name) for name in MODULES]).write()
    for command in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
        text = subprocess.run(  # noqa: S603
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET), "-"],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=True,
        ).stdout
    return text


if __name__ == "__main__":
    TARGET.write_text(generate(), encoding="utf-8")
