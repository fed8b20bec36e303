"""Upload files, on their own and for a model's input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dashscope._api.decoding import structure
from dashscope._api.requestor import Call, Requestor
from dashscope._common.deadline import Deadline
from dashscope._common.json import encode
from dashscope._errors import APIResponseError
from dashscope._files.local_file import LocalFile, check_name
from dashscope.types.file import File
from dashscope.types.http import FilePart


async def create_file(
    api: Requestor,
    file: LocalFile,
    *,
    metadata: Mapping[str, Any] | None = None,
    progress: Callable[[int], object] | None = None,
    deadline: Deadline = Deadline.NEVER,
) -> File:
    """Upload a loaded file. A duplicate does no harm, so the request may be repeated."""
    check_name(file.filename)
    fields = {"filename": file.filename, "type": file.content_type}
    if metadata is not None:
        fields["metadata"] = encode(dict(metadata)).decode()
    part = FilePart(name="content", file=file, progress=progress)
    call = Call(method="POST", path="/files", files=(part,), fields=fields, repeatable=True)
    return structure(await api.send(call, deadline=deadline), File)


async def upload(api: Requestor, file: LocalFile, *, deadline: Deadline = Deadline.NEVER) -> str:
    """Upload a file, and return the URL that represents it in a model's input."""
    created = await create_file(api, file, deadline=deadline)
    if created.urls is None or created.urls.get is None:
        raise APIResponseError(
            f"The server sent no urls.get for the file {created.id} that was uploaded."
        )
    return created.urls.get
