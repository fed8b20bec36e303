"""`map()`: one model over many inputs, resumable and gentle.

`batch` is the face: a block, and an iterator of results. Behind it, `scheduler` decides what is
to be done next: a create, by `creator`, or a look, by `poller`. `input_reader` takes the inputs
in, `result_buffer` gives the results out, and `checkpoint` keeps them in a file. `rate_limiter`
and `poll_schedule` are pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashscope._common.lazy import exports

if TYPE_CHECKING:
    from dashscope._batch.batch import AsyncBatch
    from dashscope._batch.options import OnError, OnUnknown, Resume

__all__ = [
    "AsyncBatch",
    "OnError",
    "OnUnknown",
    "Resume",
]

# Annotations elsewhere name these as attributes, so that they resolve without being loaded.
__getattr__ = exports(
    __name__,
    {
        "AsyncBatch": "batch",
        "OnError": "options",
        "OnUnknown": "options",
        "Resume": "options",
    },
)
