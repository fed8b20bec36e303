"""What the annotation of an input tells pydantic, and with it FastAPI, LangChain and MCP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen

from dashscope._functions.check import check_input
from dashscope._functions.json_schema import input_schema, refers
from dashscope._functions.schema import Input, ModelSchema


@frozen
class Constraint:
    """Makes pydantic validate an input, and describe it, as the model's schema does.

    The values that pydantic calls these methods with are plain dicts, so it is never imported.
    """

    model: ModelSchema
    entry: Input

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        validate = {"type": "no-info", "function": self._validated}
        return {"type": "function-after", "function": validate, "schema": handler(source)}

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Callable[[Any], Any]) -> Any:
        own = input_schema(self.entry)
        own.pop("default", None)  # the parameter has it
        return handler(core_schema) if refers(own) else own

    def _validated(self, value: Any) -> Any:
        try:
            check_input(self.model, self.entry, value)
        except TypeError as error:  # pydantic reports only errors of values
            raise ValueError(str(error)) from error
        return value

    def __repr__(self) -> str:
        return f"<{self.entry.name} of the model's schema>"
