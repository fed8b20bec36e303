"""Files in inputs and outputs: read, upload, download and save them."""

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

# Annotations use these as `_files.X`: they resolve at run time without loading the modules.
__getattr__ = exports(
    __name__,
    {
        "AsyncDownload": "download",
        "AsyncFileOutput": "file_output",
        "FileContent": "local_file",
        "FileEncoding": "inputs",
    },
)
