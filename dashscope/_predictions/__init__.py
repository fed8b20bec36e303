"""A prediction from its creation to its terminal status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashscope._common.lazy import exports

if TYPE_CHECKING:
    from dashscope._predictions.create import WebhookEvent
    from dashscope._predictions.stream import AsyncEventStream

__all__ = [
    "AsyncEventStream",
    "WebhookEvent",
]

# Annotations use these as `_predictions.X`: they resolve at run time without loading them.
__getattr__ = exports(
    __name__,
    {
        "AsyncEventStream": "stream",
        "WebhookEvent": "create",
    },
)
