"""Errors as the API words them: ``application/problem+json`` with title, detail and status."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse


class ProblemError(Exception):
    """Ends a request with a status and a sentence for the person who sent it."""

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
        # What is wrong with each input, for a form to say beside it.
        self.fields = dict(fields or {})

    def response(self) -> JSONResponse:
        """Return the response that says it."""
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


def not_found(what: str) -> ProblemError:
    """Return the problem of asking for something that is not there."""
    return ProblemError(HTTPStatus.NOT_FOUND, f"{what} not found.")
