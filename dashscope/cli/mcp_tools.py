"""Models as tools of the Model Context Protocol."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mcp_types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    ImageContent,
    ResourceLink,
    TextContent,
    Tool,
    ToolAnnotations,
)

from dashscope import (
    AsyncClient,
    AsyncFileOutput,
    AsyncModelFunction,
    DashscopeError,
    FileError,
    Prediction,
)
from dashscope._common.json import is_array, is_object
from dashscope._common.urls import Reference, is_data
from dashscope._errors import shortened
from dashscope._functions.check import is_uri
from dashscope._functions.signature import identifier

LARGEST_CONTENT: Final = 5 * 1024 * 1024
"""The largest image or sound, in bytes, that a result contains. Larger ones are only linked."""
LONGEST_LOGS: Final = 4000
"""How many characters of the logs a result contains: the last ones."""

ReportProgress: TypeAlias = Callable[[float, float | None, str | None], Awaitable[None]]
"""Reports the progress, the total and a message to whoever called the tool."""

LONGEST_NAME: Final = 64
"""The longest name of a tool that language models accept, in characters."""
SMALLEST_STEP: Final = 0.001
"""The difference between two reports of a progress that has not changed, in percent."""
OWN_TOOLS: Final = (
    "search_models",
    "list_predictions",
    "get_prediction",
    "get_model",
    "run_model",
)

_READS: Final = ToolAnnotations(read_only_hint=True)


class Tools:
    """The tools of a server.

    Args:
        client: Runs the models.
        root: The folder that local files may come from. `None` allows no local file.
    """

    def __init__(self, client: AsyncClient, root: Path | None) -> None:
        self._client = client
        self._root = None if root is None else root.resolve()
        self._models: dict[str, AsyncModelFunction] = {}

    async def load(self, refs: Sequence[str]) -> None:
        """Load the models.

        Raises:
            APIError: If a model cannot be loaded.
            ValueError: If a reference is malformed.
        """
        models = [self._client.use(ref) for ref in dict.fromkeys(refs)]
        for model in models:
            await model.load()
        names = tool_names([model.ref for model in models])
        self._models = dict(zip(names, models, strict=True))

    def listed(self) -> list[Tool]:
        """Return all tools."""
        return [*(self._tool(name, model) for name, model in self._models.items()), *self._own()]

    async def call(
        self, name: str, arguments: Mapping[str, Any], report: ReportProgress
    ) -> CallToolResult:
        """Call a tool. An error of the model, the API or an argument becomes a result.

        Args:
            name: The name of the tool.
            arguments: The arguments.
            report: Reports the progress.
        """
        try:
            if (model := self._models.get(name)) is not None:
                return await self._run(model.ref, arguments, report)
            if name not in [tool.name for tool in self._own()]:
                raise ValueError(f"There is no tool {name!r}.")  # noqa: TRY301 (as any other error)
            return await self._call_own(name, dict(arguments), report)
        except (DashscopeError, TypeError, ValueError) as error:
            return CallToolResult(content=[_text(str(error))], is_error=True)

    def _tool(self, name: str, model: AsyncModelFunction) -> Tool:
        definition = model.tool_definition()["function"]
        return Tool(
            name=name,
            title=model.ref,
            description=definition["description"],
            input_schema=_with_files(definition["parameters"], self._files_accepted()),
        )

    def _files_accepted(self) -> str:
        if self._root is None:
            return "A URL or a data URI."
        return f"A URL, a data URI, or the path of a file in {self._root}."

    def _own(self) -> list[Tool]:
        own = [
            Tool(
                name="search_models",
                description="Search for models by what they do.",
                input_schema=_parameters(query="The text to search for."),
                annotations=_READS,
            ),
            Tool(
                name="list_predictions",
                description="List the latest predictions, the newest first.",
                input_schema=_parameters(),
                annotations=_READS,
            ),
            Tool(
                name="get_prediction",
                description="Get a prediction: its status, output, error and logs.",
                input_schema=_parameters(id="The id of the prediction."),
                annotations=_READS,
            ),
        ]
        if not self._models:  # the server is not limited to certain models
            ref = "The model, as owner/name or owner/name:version."
            run = _parameters(ref=ref)
            run["properties"]["input"] = {"type": "object", "description": "The model's inputs."}
            own += [
                Tool(
                    name="get_model",
                    description="Get the description of a model, and its inputs as JSON Schema.",
                    input_schema=_parameters(ref=ref),
                    annotations=_READS,
                ),
                Tool(
                    name="run_model",
                    description="Run a model. Call get_model first for its inputs.",
                    input_schema=run,
                ),
            ]
        return own

    async def _call_own(
        self, name: str, arguments: dict[str, Any], report: ReportProgress
    ) -> CallToolResult:
        if name == "search_models":
            (query,) = _strings(name, arguments, "query")
            found = (await self._client.search(query)).models or ()
            return _json(
                [
                    {
                        "ref": f"{each.model.owner}/{each.model.name}",
                        "description": each.model.description,
                    }
                    for each in found
                ]
            )
        if name == "list_predictions":
            _strings(name, arguments)
            page = await self._client.predictions.list()
            return _json([_summary(prediction) for prediction in page.results])
        if name == "get_prediction":
            (id,) = _strings(name, arguments, "id")
            return _json(_details(await self._client.predictions.get(id)))
        inputs: Any = arguments.pop("input", {}) if name == "run_model" else {}
        if not is_object(inputs):
            raise TypeError("run_model requires 'input' to be an object.")
        (ref,) = _strings(name, arguments, "ref")
        if name == "run_model":
            return await self._run(ref, inputs, report)
        model = self._client.use(ref)
        await model.load()
        definition = model.tool_definition()["function"]
        return _json(
            {
                "ref": ref,
                "description": definition["description"],
                "inputs": _with_files(definition["parameters"], self._files_accepted()),
                "output": model.output_schema,
            }
        )

    async def _run(
        self, ref: str, arguments: Mapping[str, Any], report: ReportProgress
    ) -> CallToolResult:
        model = self._client.use(ref, progress=Progress(report), use_file_output=True)
        await model.load()
        properties = model.json_schema["properties"]
        given = {
            name: self._opened(properties.get(name), value, name)
            for name, value in arguments.items()
        }
        output = await model(**given)
        concatenates = model.output_schema.get("x-cog-array-display") == "concatenate"
        return await result_of(output, concatenates=concatenates)

    def _opened(self, schema: Any, value: Any, where: str) -> Any:
        """Return an argument with the paths of local files in place of their names."""
        if is_array(value):
            items = schema.get("items") if is_object(schema) else None
            items = items if items is not None else schema
            return [self._opened(items, item, where) for item in value]
        if not isinstance(value, str) or not _takes_file(schema):
            return value
        is_file_url = value.lower().startswith("file:")
        if is_uri(value) and not is_file_url:
            return value
        if self._root is None:
            raise FileError(
                f"{where} must be a URL or a data URI, not {shortened(value)!r}. To allow local "
                "files, start the server with --root FOLDER."
            )
        name = url2pathname(urlsplit(value).path) if is_file_url else value
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root) or not path.is_file():
            raise FileError(f"{where}: there is no file {shortened(value)!r} in {self._root}.")
        return path


class Progress:
    """Reports the progress of a prediction, in percent if the model prints a progress bar.

    Args:
        report: Sends a report. Each must have a higher progress than the one before.
    """

    def __init__(self, report: ReportProgress) -> None:
        self._report = report
        self._value = -SMALLEST_STEP
        self._message: str | None = ""

    async def __call__(self, prediction: Prediction) -> None:
        """Report the progress, unless nothing has changed."""
        bar = prediction.progress
        lines = (prediction.logs or "").splitlines()
        message = next((line for line in reversed(lines) if line.strip()), prediction.status)
        value = 0.0 if bar is None else bar.percentage * 100
        if value <= self._value:
            if message == self._message:
                return
            value = self._value + SMALLEST_STEP
        self._value, self._message = value, message
        await self._report(value, None if bar is None else 100.0, shortened(message))


def tool_names(refs: Sequence[str]) -> list[str]:
    """Return the names of the tools of models.

    A name that several models have is prefixed with the owner, then followed by the version.
    """
    references = [Reference.parse(ref) for ref in refs]
    names = [identifier(reference.name) for reference in references]
    for longer in (
        [f"{each.owner}_{each.name}" for each in references],
        [f"{each.owner}_{each.name}_{each.version or 'latest'}" for each in references],
    ):
        counts = Counter([*names, *OWN_TOOLS])
        names = [
            short if counts[short] == 1 else identifier(long)
            for short, long in zip(names, longer, strict=True)
        ]
    return [name[:LONGEST_NAME] for name in names]


async def result_of(output: Any, *, concatenates: bool = False) -> CallToolResult:
    """Return the result for an output of a model.

    Args:
        output: The output, with file outputs.
        concatenates: Whether the items of a list are parts of one text.
    """
    files = list(_files_in(output))
    content: list[ContentBlock] = []
    if concatenates and is_array(output) and not files:
        content.append(_text("".join(map(str, output))))
    elif isinstance(output, str) and not files:
        content.append(_text(output))
    elif output not in (files, *files[:1]):
        content.append(_text(json.dumps(output, ensure_ascii=False)))
    for file in files:
        content += await _content_of(file)
    return CallToolResult(content=content, structured_content={"output": output})


def _files_in(output: Any) -> Iterator[AsyncFileOutput]:
    if isinstance(output, AsyncFileOutput):
        yield output
    elif is_object(output) or is_array(output):
        for item in output.values() if is_object(output) else output:
            yield from _files_in(item)


async def _content_of(file: AsyncFileOutput) -> list[ContentBlock]:
    content = bytearray()
    kind = ""
    async with aclosing(file.iter_bytes()) as pieces:
        async for piece in pieces:
            content += piece
            kind = (file.content_type or "").partition("/")[0]  # as the server says
            if kind not in ("image", "audio") or len(content) > LARGEST_CONTENT:
                content.clear()
                break
    link = ResourceLink(name=file.filename, uri=str(file), mime_type=file.content_type)
    if not content:
        return [link]
    data, mime_type = base64.b64encode(content).decode(), file.content_type or ""
    shown: ContentBlock
    if kind == "image":
        shown = ImageContent(data=data, mime_type=mime_type)
    else:
        shown = AudioContent(data=data, mime_type=mime_type)
    return [shown] if is_data(file) else [shown, link]


def _with_files(schema: Any, accepted: str) -> Any:
    """Return a schema whose files say what is accepted. A path is not a URI."""
    if is_array(schema):
        return [_with_files(part, accepted) for part in schema]
    if not is_object(schema):
        return schema
    made = {name: _with_files(part, accepted) for name, part in schema.items()}
    if made.get("format") == "uri":
        del made["format"]
        made["description"] = f"{made.get('description', '')} {accepted}".strip()
    return made


def _takes_file(schema: Any) -> bool:
    if not is_object(schema):
        return False
    parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    items = schema.get("items")
    return schema.get("format") == "uri" or any(map(_takes_file, [*parts, items]))


def _parameters(**described: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": text} for name, text in described.items()
        },
        "required": list(described),
        "additionalProperties": False,
    }


def _strings(tool: str, arguments: Mapping[str, Any], *names: str) -> list[str]:
    for name in names:
        if not isinstance(arguments.get(name), str):
            raise TypeError(f"{tool} requires {name!r}, a string.")
    for name in arguments:
        if name not in names:
            raise TypeError(f"{tool} has no argument {name!r}.")
    return [arguments[name] for name in names]


def _summary(prediction: Prediction) -> dict[str, Any]:
    raw = prediction.raw
    return {name: raw.get(name) for name in ("id", "model", "status", "created_at", "error")}


def _details(prediction: Prediction) -> dict[str, Any]:
    raw = prediction.raw
    inputs = {
        name: shortened(value) if isinstance(value, str) else value
        for name, value in (prediction.input or {}).items()
    }
    logs = (prediction.logs or "")[-LONGEST_LOGS:]
    more = {name: raw.get(name) for name in ("output", "metrics")}
    return {**_summary(prediction), "input": inputs, "logs": logs, **more}


def _json(value: Any) -> CallToolResult:
    text = json.dumps(value, ensure_ascii=False)
    return CallToolResult(content=[_text(text)], structured_content={"result": value})


def _text(text: str) -> TextContent:
    return TextContent(text=text)
