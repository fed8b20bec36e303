"""`client.map()`: run one model over many inputs, with checkpoints and rate limiting.

`batch` contains the public class. `scheduler` decides what to do next: create predictions
(`creator`), poll them (`poller`), or find predictions that an interrupted call may have created
(`recovery`). `input_reader` reads the inputs, `result_buffer` holds finished results, and
`checkpoint` records each step in a file. `rate_limiter` and `poll_schedule` are pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashscope._common.lazy import exports

if TYPE_CHECKING:
    from dashscope._batch.batch import AsyncBatch
    from dashscope._batch.options import OnError, OnUnknown, Resume
    from dashscope._batch.permits import SharedRate

__all__ = [
    "AsyncBatch",
    "OnError",
    "OnUnknown",
    "Resume",
    "SharedRate",
]

# Lazy, so that annotations such as `_batch.AsyncBatch` resolve without loading the modules first.
__getattr__ = exports(
    __name__,
    {
        "AsyncBatch": "batch",
        "OnError": "options",
        "OnUnknown": "options",
        "Resume": "options",
        "SharedRate": "permits",
    },
)
