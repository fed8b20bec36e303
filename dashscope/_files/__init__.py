"""Files as inputs and outputs: reading, uploading, downloading, saving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashscope._common.lazy import exports

if TYPE_CHECKING:
    from dashscope._files.download import AsyncDownload
    from dashscope._files.file_output import AsyncFileOutput
    from dashscope._files.inputs import FileEncoding
    from dashscope._files.local_file import FileContent

__all__ = [
    "AsyncDownload",
    "AsyncFileOutput",
    "FileContent",
    "FileEncoding",
]

# Annotations elsewhere name these as attributes, so that they resolve without being loaded.
__getattr__ = exports(
    __name__,
    {
        "AsyncDownload": "download",
        "AsyncFileOutput": "file_output",
        "FileContent": "local_file",
        "FileEncoding": "inputs",
    },
)
