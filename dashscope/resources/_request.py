"""`client.request()`: send any request to the API."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import evolve

from dashscope._api.requestor import Call, Requestor
from dashscope._common.deadline import Deadline
from dashscope._common.validation import (
    check_content,
    check_mapping,
    check_params,
    check_str,
    check_text,
    check_timeout,
    shown,
)
from dashscope._config import check_headers
from dashscope._files.local_file import FileContent, LocalFile, load
from dashscope.types.http import FilePart, Response

_METHOD: Final = re.compile(r"[A-Z]+")


async def request(
    api: Requestor,
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | Sequence[tuple[str, Any]] | None,
    json: Any,
    content: bytes | str | None,
    files: Mapping[str, FileContent] | None,
    headers: Mapping[str, str] | None,
    timeout: float | None,
) -> Response:
    """Send a request. `AsyncClient.request` describes the arguments."""
    if not _METHOD.fullmatch(check_text("method", method).upper()):
        raise ValueError(f"method must be an HTTP method such as GET, not {shown(method)}")
    if sum(body is not None for body in (json, content, files)) > 1:
        raise ValueError("a request can have only one body: pass json, content or files")
    deadline = Deadline.after(check_timeout(timeout))
    body = {} if json is None else {"json": json}
    call = Call(
        method=method.upper(),
        path=check_str("path", path),
        params=check_params(params),
        content=check_content(content),
        headers=check_headers(headers),
        creates=method.upper() == "POST",
        **body,
    )
    if timeout is not None:
        api = api.with_config(timeout=None)
    named = check_mapping("files", {} if files is None else files, "of part names to files")
    loaded: list[LocalFile] = []
    try:
        for file in named.values():
            loaded.append(await load(file, api.runtime))  # noqa: PERF401 (on an error, those loaded so far are closed)
        parts = tuple(
            FilePart(name=name, file=file) for name, file in zip(named, loaded, strict=True)
        )
        return await api.send(evolve(call, files=parts), deadline=deadline)
    finally:
        for file in loaded:
            file.close()
