"""Errors as ``application/problem+json`` with title, detail and status."""

import errno
import sqlite3
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse


class ProblemError(Exception):
    """Ends a request with an error status and a message for the caller."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.members = dict(members or {})
        # One message per invalid input, shown next to the form field.
        self.fields = dict(fields or {})

    def response(self) -> JSONResponse:
        """Return the problem as a response."""
        return JSONResponse(
            {
                "title": HTTPStatus(self.status).phrase,
                "detail": self.detail,
                "status": self.status,
                **self.members,
            },
            status_code=self.status,
            headers=self.headers,
            media_type="application/problem+json",
        )


def server_problem(error: Exception) -> ProblemError:
    """Return the problem for an error of the server itself."""
    if _means_full_disk(error):
        return ProblemError(
            HTTPStatus.INSUFFICIENT_STORAGE,
            "The disk of the server is full. Free some space and try again.",
        )
    return ProblemError(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "The server failed to process the request. See the server's log.",
    )


def _means_full_disk(error: Exception) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}


def not_found(what: str) -> ProblemError:
    """Return a 404 problem."""
    return ProblemError(HTTPStatus.NOT_FOUND, f"{what} not found.")
