"""Code that runs a model with given inputs, in the languages of the page."""

import json
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import quote

from attrs import frozen

from dashscope.local.type_guards import is_dict, is_list, is_mapping

DEFAULT_BASE_URL: Final = "http://127.0.0.1:3274/v1"
"""The base URL that the SDK and the command use without any option."""

WIDTH: Final = 88
"""Characters of a line of Python. Longer values are split into several lines."""

CODE_LIMIT: Final = 20_000
"""Maximum characters of JSON of the inputs. Longer inputs are not shown as code."""

_FILE: Final = "input-file"
_DATA_LIMIT: Final = 200


@frozen(kw_only=True)
class Snippet:
    """Code in one language."""

    name: str
    label: str
    text: str


@frozen(kw_only=True)
class Call:
    """What the code does: run a model, a version of a model, or a deployment with inputs.

    ``version`` is None for the latest version, which needs no id. ``deployment`` is the name of a
    deployment as ``owner/name``, or None.
    """

    model: str
    deployment: str | None = None
    version: str | None
    inputs: Mapping[str, Any]
    base_url: str
    needs_token: bool
    streams: bool

    @property
    def ref(self) -> str:
        """The model, with the version if it is not the latest."""
        return f"{self.model}:{self.version}" if self.version else self.model

    @property
    def is_default(self) -> bool:
        """Whether the SDK finds the server without its base URL."""
        return self.base_url == DEFAULT_BASE_URL


class Verbatim(str):
    """Code instead of a value, such as the name of a local file."""

    __slots__ = ()


def snippets(call: Call) -> list[Snippet]:
    """Return the code in each language. Return an empty list if the inputs are too long."""
    if len(json.dumps(without_data(call.inputs, str))) > CODE_LIMIT:
        return []
    makers: tuple[tuple[str, str, Callable[[Call], str]], ...] = (
        ("python", "Python", python),
        ("python-async", "Python async", python_async),
        ("javascript", "JavaScript", javascript),
        ("fetch", "fetch", fetch),
        ("curl", "curl", curl),
        ("command", "dashscope", command),
    )
    return [Snippet(name=name, label=label, text=make(call)) for name, label, make in makers]


def python(call: Call) -> str:
    """Return code for the sync client."""
    inputs = _python_inputs(call, "    ")
    gap = "\n" if _path_import(inputs) else ""
    opened = f"with Client({_python_options(call)}) as client:\n"
    return (
        f"{_path_import(inputs)}{gap}from dashscope import Client\n\n"
        f"{opened}{_python_body(call, inputs, '    ', is_async=False)}"
    )


def python_async(call: Call) -> str:
    """Return code for the async client."""
    inputs = _python_inputs(call, " " * 8)
    return (
        f"import asyncio\n{_path_import(inputs)}\nfrom dashscope import AsyncClient\n\n\n"
        f"async def main() -> None:\n"
        f"    async with AsyncClient({_python_options(call)}) as client:\n"
        f"{_python_body(call, inputs, ' ' * 8, is_async=True)}\n\n"
        f"asyncio.run(main())\n"
    )


def _python_body(call: Call, inputs: str, indent: str, *, is_async: bool) -> str:
    before, waits = ("async ", "await ") if is_async else ("", "")
    if call.deployment:
        return (
            f"{indent}prediction = {waits}client.deployments.predictions.create(\n"
            f"{indent}    {literal(call.deployment)}, input={inputs}\n{indent})\n"
            f"{indent}prediction = {waits}client.wait(prediction)\n"
            f"{indent}print(prediction.output)\n"
        )
    if call.streams:
        return (
            f"{indent}{before}with client.stream({literal(call.ref)}, {inputs}) as events:\n"
            f"{indent}    {before}for event in events:\n"
            f'{indent}        print(event, end="", flush=True)\n'
        )
    return (
        f"{indent}output = {waits}client.run({literal(call.ref)}, {inputs})\n"
        f"{indent}print(output)\n"
    )


def _path_import(inputs: str) -> str:
    return "from pathlib import Path\n" if f'Path("{_FILE}")' in inputs else ""


def _python_options(call: Call) -> str:
    return "" if call.is_default else f"base_url={literal(call.base_url)}"


def _python_inputs(call: Call, indent: str) -> str:
    return literal(without_data(call.inputs, lambda name: Verbatim(f'Path("{name}")')), indent)


def literal(value: Any, indent: str = "") -> str:
    """Format a JSON value as a Python literal, in several lines if it is long."""
    flat = _flat(value)
    if len(flat) + len(indent) <= WIDTH - 36 or not value:
        return flat
    deeper = f"{indent}    "
    if is_dict(value):
        lines = [f"{_flat(key)}: {literal(item, deeper)}" for key, item in value.items()]
        opening, closing = "{", "}"
    elif is_list(value):
        lines = [literal(item, deeper) for item in value]
        opening, closing = "[", "]"
    else:
        return flat
    body = "".join(f"{deeper}{line},\n" for line in lines)
    return f"{opening}\n{body}{indent}{closing}"


def _flat(value: Any) -> str:
    match value:
        case Verbatim():
            return str(value)
        case str():
            # JSON strings are Python strings, with the double quotes that formatters prefer.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\x7f")
        case _ if is_dict(value):
            return f"{{{', '.join(f'{_flat(key)}: {_flat(item)}' for key, item in value.items())}}}"
        case _ if is_list(value):
            return f"[{', '.join(map(_flat, value))}]"
        case _:
            return repr(value)


def javascript(call: Call) -> str:
    """Return code for the npm package ``replicate``."""
    options = [f"baseUrl: {_js(call.base_url)}"]
    if call.needs_token:
        options.append("auth: process.env.DASHSCOPE_API_TOKEN")
    inputs = _indented(_js_inputs(call))
    client = (
        f'import Replicate from "replicate";\n\n'
        f"const client = new Replicate({{ {', '.join(options)} }});\n"
    )
    if call.deployment:
        owner, _, name = call.deployment.partition("/")
        return (
            f"{client}const created = await client.deployments.predictions.create(\n"
            f"  {_js(owner)}, {_js(name)}, {{ input: {inputs} }},\n);\n"
            f"const prediction = await client.wait(created);\nconsole.log(prediction.output);\n"
        )
    if call.streams:
        return (
            f"{client}for await (const event of client.stream({_js(call.ref)}, {{\n"
            f"  input: {inputs},\n}})) {{\n  process.stdout.write(`${{event}}`);\n}}\n"
        )
    return (
        f"{client}const output = await client.run({_js(call.ref)}, {{\n"
        f"  input: {inputs},\n}});\nconsole.log(output);\n"
    )


def fetch(call: Call) -> str:
    """Return code for ``fetch``, without a package."""
    headers = ['"Content-Type": "application/json"', 'Prefer: "wait"']
    if call.needs_token:
        headers.append("Authorization: `Bearer ${process.env.DASHSCOPE_API_TOKEN}`")
    body = [f"input: {_indented(_js_inputs(call), '    ')}"]
    if call.version:
        body.insert(0, f"version: {_js(call.ref)}")
    listed = "".join(f"    {line},\n" for line in body)
    return (
        f"const response = await fetch({_js(_url(call))}, {{\n"
        f'  method: "POST",\n'
        f"  headers: {{ {', '.join(headers)} }},\n"
        f"  body: JSON.stringify({{\n{listed}  }}),\n"
        f"}});\nconst prediction = await response.json();\n"
        f"console.log(prediction.output ?? prediction);\n"
    )


def _url(call: Call) -> str:
    if call.deployment:
        return f"{call.base_url}/deployments/{quote(call.deployment)}/predictions"
    if call.version:
        return f"{call.base_url}/predictions"
    return f"{call.base_url}/models/{quote(call.model)}/predictions"


def _js(value: Any) -> str:
    # JSON is JavaScript. A line separator ends a line in old engines only.
    return json.dumps(value, ensure_ascii=False)


def _js_inputs(call: Call) -> str:
    inputs = without_data(call.inputs, _example_url)
    flat = _js(inputs)
    return flat if len(flat) < WIDTH - 30 else json.dumps(inputs, ensure_ascii=False, indent=2)


def _example_url(name: str) -> str:
    return f"https://example.com/{name}"


def _indented(text: str, indent: str = "  ") -> str:
    return text.replace("\n", f"\n{indent}")


def curl(call: Call) -> str:
    """Return a command for curl."""
    document: dict[str, Any] = {"input": without_data(call.inputs, _example_url)}
    if call.version:
        document = {"version": call.ref, **document}
    body = json.dumps(document, ensure_ascii=False)
    if len(body) > WIDTH - 8:
        body = json.dumps(document, ensure_ascii=False, indent=2)
    header = ""
    if call.needs_token:
        header = ' \\\n  -H "Authorization: Bearer $DASHSCOPE_API_TOKEN"'
    return (
        f"curl {shlex.quote(_url(call))}{header} \\\n"
        f'  -H "Content-Type: application/json" -H "Prefer: wait" \\\n'
        f"  -d {shlex.quote(body)}\n"
    )


def command(call: Call) -> str:
    """Return a ``dashscope`` command."""
    words = ["dashscope", "stream" if call.streams else "run", call.ref]
    if call.deployment:
        words = ["dashscope", "deployments", "run", call.deployment]
    inputs = without_data(call.inputs, lambda name: Verbatim(f"@{name}"))
    words += [f"{name}={_argument(value)}" for name, value in inputs.items()]
    lines = [shlex.quote(word) for word in words]
    text = " ".join(lines)
    if len(text) > WIDTH:
        head = len(lines) - len(inputs)
        text = " \\\n  ".join([" ".join(lines[:head]), *lines[head:]])
    setting = "" if call.is_default else f"DASHSCOPE_BASE_URL={call.base_url} "
    return f"{setting}{text}\n"


def _argument(value: Any) -> str:
    if isinstance(value, Verbatim):
        return str(value)
    if isinstance(value, str):
        # The command reads @file. A second @ makes it text.
        return f"@{value}" if value.startswith("@") else value
    return json.dumps(value, ensure_ascii=False)


def without_data(value: Any, name_file: Callable[[str], Any]) -> Any:
    """Return a value in which long data URLs are replaced by the name of a file."""
    if isinstance(value, str) and value[:5].lower() == "data:" and len(value) > _DATA_LIMIT:
        return name_file(_FILE)
    if is_list(value):
        return [without_data(item, name_file) for item in value]
    if is_mapping(value):
        return {key: without_data(item, name_file) for key, item in value.items()}
    return value


def has_data(inputs: Mapping[str, Any]) -> bool:
    """Return whether the code names a file that stands for a data URL."""
    found: list[str] = []

    def note(name: str) -> str:
        found.append(name)
        return name

    without_data(inputs, note)
    return bool(found)
