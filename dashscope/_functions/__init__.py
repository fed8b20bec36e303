"""`client.use()`: a model as a function, with its schema and signature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashscope._common.lazy import exports

if TYPE_CHECKING:
    from dashscope._functions.function import AsyncModelFunction
    from dashscope._functions.schema_cache import Schemas

__all__ = [
    "AsyncModelFunction",
    "Schemas",
]

# Annotations use these as `_functions.X`: they resolve at run time without loading the modules.
__getattr__ = exports(
    __name__,
    {
        "AsyncModelFunction": "function",
        "Schemas": "schema_cache",
    },
)
