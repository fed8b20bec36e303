"""Routes for ``/files``: uploads, and downloads of uploads and output files."""

import hmac
import io
import json
import re
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from dashscope._files.local_file import Readable
from dashscope.local.http.problems import ProblemError, not_found
from dashscope.local.http.services import Services, page_response, services
from dashscope.local.http.uploads import (
    read_content,
    read_metadata,
    read_name,
    read_type,
    too_large,
)
from dashscope.local.store.folder import (
    FileTooLargeError,
    etag,
    expiry_of_new_file,
    store_upload,
)
from dashscope.local.values import OWNER, File, new_id, now, timestamp


async def create_file(request: Request) -> JSONResponse:
    """Handle ``files.create``."""
    parts = services(request)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ProblemError(
            HTTPStatus.BAD_REQUEST,
            "Send the file as multipart/form-data, in a part named content.",
        )
    async with request.form(max_files=10, max_fields=200) as form:
        content = read_content(form)
        values = {
            "name": await read_name(form, content),
            "content_type": await read_type(form, content),
            "metadata": json.dumps(await read_metadata(form)),
        }
        source = io.BytesIO(content.encode()) if isinstance(content, str) else content.file
        file = await store_file(parts, source, values)
    return JSONResponse(parts.renderer.file(file), HTTPStatus.CREATED)


async def store_file(parts: Services, source: Readable, values: dict[str, Any]) -> File:
    """Store an uploaded file.

    Raises:
        ProblemError: The file is too large.
    """
    file_id = new_id()
    try:
        size, sha256 = await store_upload(source, parts.folder.files / file_id)
    except FileTooLargeError as error:
        raise too_large() from error
    return parts.store.files.create(
        {
            "id": file_id,
            "size": size,
            "sha256": sha256,
            "created_at": timestamp(now()),
            "expires_at": expiry_of_new_file(),
            **values,
        }
    )


def find_file(request: Request) -> File:
    """Return the file named in the request's path.

    Raises:
        ProblemError: The file does not exist or has expired.
    """
    file_id: str = request.path_params["file_id"]
    file = services(request).store.files.get(file_id, timestamp(now()))
    if file is None:
        raise not_found(f"File {file_id}")
    return file


async def list_files(request: Request) -> JSONResponse:
    """Handle ``files.list``."""
    parts = services(request)
    at = timestamp(now())
    return page_response(
        request, lambda cursor: parts.store.files.page(cursor, at), parts.renderer.file
    )


async def get_file(request: Request) -> JSONResponse:
    """Handle ``files.get``."""
    return JSONResponse(services(request).renderer.file(find_file(request)))


async def delete_file(request: Request) -> Response:
    """Handle ``files.delete``."""
    parts = services(request)
    file = find_file(request)
    parts.store.files.delete(file)
    (parts.folder.files / file.id).unlink(missing_ok=True)
    return Response(status_code=HTTPStatus.NO_CONTENT)


async def download_file(request: Request) -> Response:
    """Handle ``files.download``: the signed URL gives access without a token."""
    parts = services(request)
    query = request.query_params
    for name in ("owner", "expiry", "signature"):
        if name not in query:
            raise ProblemError(HTTPStatus.BAD_REQUEST, f'Query parameter "{name}" is required.')
    if not re.fullmatch(r"[0-9]{1,15}", query["expiry"]):
        raise ProblemError(HTTPStatus.BAD_REQUEST, "expiry must be a Unix timestamp.")
    file_id: str = request.path_params["file_id"]
    expiry = int(query["expiry"])
    expected = parts.signer.signature(file_id, expiry)
    # An unescaped "+" in the Base64 text is decoded as a space.
    given = query["signature"].replace(" ", "+").replace("-", "+").replace("_", "/")
    signed = hmac.compare_digest(given.encode(), expected.encode())
    if not signed or query["owner"] != OWNER or expiry <= now().timestamp():
        raise not_found(f"File {file_id}")
    return send_file(request, find_file(request))


def send_file(request: Request, file: File) -> Response:
    """Return a file's content, or the requested range of it."""
    headers = {"etag": etag(file), "cache-control": "private"}
    wanted = request.headers.get("if-none-match", "")
    if wanted == "*" or etag(file) in [tag.strip().removeprefix("W/") for tag in wanted.split(",")]:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return FileResponse(
        services(request).folder.files / file.id,
        media_type=file.content_type,
        filename=file.name,
        # HTML from a model or an upload must not run in the server's origin.
        headers={**headers, "x-content-type-options": "nosniff"},
    )


ROUTES: Final = [
    Route("/files", list_files),
    Route("/files", create_file, methods=["POST"]),
    Route("/files/{file_id}", get_file),
    Route("/files/{file_id}", delete_file, methods=["DELETE"]),
    Route("/files/{file_id}/download", download_file),
]
