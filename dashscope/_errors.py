"""Every exception of Dashscope.

* DashscopeError
  * ConfigurationError
  * APIError
    * APIConnectionError
      * APITimeoutError (a TimeoutError too)
    * APIStatusError
      * BadRequestError            400
      * AuthenticationError        401
      * PaymentRequiredError       402
      * PermissionDeniedError      403
      * NotFoundError              404
      * ConflictError              409
      * UnprocessableEntityError   422
      * RateLimitError             429
      * InternalServerError        5xx
    * APIResponseError
  * PredictionError
    * ModelError
    * PredictionCanceledError
    * PredictionTimeoutError (a TimeoutError too)
  * CheckpointError
  * StreamError
  * FileError
  * WebhookVerificationError

All of them pickle, and none holds the token or an object of the HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

from dashscope import types

LONGEST_SAID: Final = 1000
"""Characters of what a server or a model says that a message repeats."""


class DashscopeError(Exception):
    """The base of all errors of this package."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own way calls __init__ with `args` alone, which knows no keyword arguments.
        return _restore, (type(self), self.args), self.__dict__


def _restore(cls: type[DashscopeError], args: tuple[Any, ...]) -> DashscopeError:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


def shortened(text: str) -> str:
    """What somebody else says, of a length for a message."""
    return text if len(text) <= LONGEST_SAID else text[:LONGEST_SAID] + "…"


class ConfigurationError(DashscopeError):
    """A client cannot work with what it was given: the message says what to set."""


class APIError(DashscopeError):
    """A request to the API did not bring what was asked for.

    Attributes:
        attempts: how often the request was made.
        elapsed: seconds from the first attempt to the error.
        may_have_been_created: whether a create may have been carried out although no
            answer came: look before you create it again.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.attempts = 1
        self.elapsed = 0.0
        self.may_have_been_created = False

    def after(self, *, attempts: int, elapsed: float, may_have_been_created: bool) -> Self:
        """This error, with how it came about."""
        self.attempts = attempts
        self.elapsed = elapsed
        self.may_have_been_created = may_have_been_created
        return self

    def add(self, sentence: str) -> None:
        """Say one thing more."""
        self.args = (f"{self.args[0]} {sentence}",)

    def __str__(self) -> str:
        text = super().__str__()
        if self.attempts > 1:
            text += f" (after {self.attempts} attempts in {self.elapsed:.1f} s)"
        if self.may_have_been_created:
            text += " It may have been created all the same: look before you create it again."
        return text


class APIConnectionError(APIError):
    """No answer came: the connection was never made, or broke.

    Attributes:
        request_sent: whether the request may have reached the server.
        permanent: whether asking again would bring the same: the server's certificate does
            not verify.
    """

    def __init__(self, message: str, *, request_sent: bool, permanent: bool = False) -> None:
        super().__init__(message)
        self.request_sent = request_sent
        self.permanent = permanent


class APITimeoutError(APIConnectionError, TimeoutError):
    """No answer came in time."""


def timed_out(what: str, *, request_sent: bool = True) -> APITimeoutError:
    """Return the error for a request whose time is up, however far it got."""
    happened = "No answer in time" if request_sent else "No connection in time"
    return APITimeoutError(f"{happened}: {what}.", request_sent=request_sent)


class APIStatusError(APIError):
    """The server answered with an error.

    Attributes:
        status: the HTTP status, such as 404.
        title: the server's title for this kind of error.
        detail: the server's explanation.
        request_id: the server's name for the request, for a report to its operators.
        headers: the answer's headers; the keys ignore case.
        body: the answer's body as text.
        retry_after: seconds the server asks to wait, where it does.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        title: str | None,
        detail: str | None,
        headers: types.Headers,
        body: str,
        retry_after: float | None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.title = title
        self.detail = detail
        self.headers = headers
        self.body = body
        self.retry_after = retry_after

    def __str__(self) -> str:
        text = super().__str__()
        id = self.request_id
        return text if id is None or id in text else f"{text} (request {id})"

    @property
    def request_id(self) -> str | None:
        """The server's id of the request, for a report to its operators."""
        return self.headers.get("x-request-id")


class BadRequestError(APIStatusError):
    """400: the request makes no sense to the server."""


class AuthenticationError(APIStatusError):
    """401: there is no token, or it is not valid."""


class PaymentRequiredError(APIStatusError):
    """402: the account has to be paid for."""


class PermissionDeniedError(APIStatusError):
    """403: the token's account may not do this."""


class NotFoundError(APIStatusError):
    """404: there is no such thing, or this account does not see it."""


class ConflictError(APIStatusError):
    """409: it is in the way of something that exists."""


class UnprocessableEntityError(APIStatusError):
    """422: the input is not what the model takes; `detail` names the field."""


class RateLimitError(APIStatusError):
    """429: too many requests; `retry_after` says how long to wait, where the server did."""


class InternalServerError(APIStatusError):
    """5xx: the server failed."""


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def status_error_type(status: int) -> type[APIStatusError]:
    """The class of the error that an HTTP status stands for."""
    if status >= 500:
        return InternalServerError
    return _BY_STATUS.get(status, APIStatusError)


class APIResponseError(APIError):
    """An answer is not what the API promises: not JSON, a field missing or of another type.

    Attributes:
        body: the start of the answer's body as text.
    """

    def __init__(self, message: str, *, body: str = "") -> None:
        super().__init__(message)
        self.body = body


class PredictionError(DashscopeError):
    """A prediction or training did not bring a result.

    Attributes:
        prediction: the prediction or training, as last seen.
    """

    def __init__(self, message: str, *, prediction: types.Prediction | types.Training) -> None:
        super().__init__(message)
        self.prediction = prediction


class ModelError(PredictionError):
    """The model failed; `prediction.error` and `prediction.logs` say why."""


class PredictionCanceledError(PredictionError):
    """The prediction was cancelled before it had a result."""


class PredictionTimeoutError(PredictionError, TimeoutError):
    """The prediction was not finished within the caller's `timeout`."""


class CheckpointError(DashscopeError):
    """The checkpoint of a batch cannot be used, or does not fit the batch."""


class StreamError(DashscopeError):
    """A stream cannot be had, or has a hole that cannot be filled."""


class FileError(DashscopeError):
    """A file cannot be read, sent or saved."""


class WebhookVerificationError(DashscopeError):
    """A webhook was not signed with the secret, or not lately."""


for _value in list(globals().values()):
    if isinstance(_value, type) and issubclass(_value, DashscopeError):
        _value.__module__ = "dashscope"
