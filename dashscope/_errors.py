"""The exceptions of Dashscope.

* DashscopeError
  * ConfigurationError
  * APIError
    * APIConnectionError
      * APITimeoutError (also a TimeoutError)
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
    * PredictionTimeoutError (also a TimeoutError)
  * CheckpointError
  * StreamError
  * FileError
  * WebhookVerificationError

All of them can be pickled. None contains the token or an object of the HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Self

from dashscope import types
from dashscope._common.base_error import DashscopeError as DashscopeError
from dashscope._common.base_error import restore

LONGEST_SAID: Final = 1000
"""The longest text of a server or a model that a message repeats, in characters."""


def shortened(text: str) -> str:
    """Return a text of a server or a model, shortened for a message."""
    return text if len(text) <= LONGEST_SAID else text[:LONGEST_SAID] + "…"


class ConfigurationError(DashscopeError):
    """A client cannot work with its settings. The message says what to set."""


class APIError(DashscopeError):
    """A request to the API failed.

    Attributes:
        attempts: How often the request was sent.
        elapsed: Seconds from the first attempt to the error.
        may_have_been_created: Whether the server may have created something although no response
            arrived. Check before you create it again.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.attempts = 1
        self.elapsed = 0.0
        self.may_have_been_created = False

    def after(self, *, attempts: int, elapsed: float, may_have_been_created: bool) -> Self:
        """Record the attempts that led to this error, and return it."""
        self.attempts = attempts
        self.elapsed = elapsed
        self.may_have_been_created = may_have_been_created
        return self

    def add(self, sentence: str) -> None:
        """Add a sentence to the message."""
        self.args = (f"{self.args[0]} {sentence}",)

    def __str__(self) -> str:
        text = super().__str__()
        if self.attempts > 1:
            text += f" (after {self.attempts} attempts in {self.elapsed:.1f} s)"
        if self.may_have_been_created:
            text += " It may have been created: check before you create it again."
        return text


class APIConnectionError(APIError):
    """No response arrived: the connection failed or broke.

    Attributes:
        request_sent: Whether the request may have reached the server.
        permanent: Whether another attempt would fail too, because the server's certificate cannot
            be verified, or because a server on this machine has never been reached.
        refused: Whether the connection was refused, because no server listens at the address.
    """

    def __init__(
        self,
        message: str,
        *,
        request_sent: bool = True,
        permanent: bool = False,
        refused: bool = False,
    ) -> None:
        super().__init__(message)
        self.request_sent = request_sent
        self.permanent = permanent
        self.refused = refused


class APITimeoutError(APIConnectionError, TimeoutError):
    """No response arrived in time."""


def timed_out(what: str, *, request_sent: bool = True) -> APITimeoutError:
    """Return the error for a request that timed out."""
    happened = "No response in time" if request_sent else "No connection in time"
    return APITimeoutError(f"{happened}: {what}.", request_sent=request_sent)


class APIStatusError(APIError):
    """The server responded with an error.

    In tests, construct one with a message: `NotFoundError("no such model")`.

    Attributes:
        status: The HTTP status, such as 404. Defaults to that of the class.
        title: The server's title for this kind of error.
        detail: The server's explanation. If the server sent a list or an object, a sentence for
            each of its entries.
        request_id: The server's id of the request, to quote in a support request.
        headers: The headers of the response. Names ignore case.
        body: The body of the response, as text.
        retry_after: The seconds to wait that the server requested, or `None`.
    """

    usual_status = 418
    """The status of an error that is constructed without one."""

    def __init__(
        self,
        message: str,
        status: int | None = None,
        *,
        title: str | None = None,
        detail: str | None = None,
        headers: types.Headers | None = None,
        body: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = self.usual_status if status is None else status
        self.title = title
        self.detail = detail
        self.headers = types.Headers({}) if headers is None else headers
        self.body = body
        self.retry_after = retry_after

    def __str__(self) -> str:
        text = super().__str__()
        id = self.request_id
        return text if id is None or id in text else f"{text} (request {id})"

    @property
    def request_id(self) -> str | None:
        """The server's id of the request, to quote in a support request."""
        return self.headers.get("x-request-id")


class BadRequestError(APIStatusError):
    """400: the request is malformed."""

    usual_status = 400


class AuthenticationError(APIStatusError):
    """401: the token is missing or invalid."""

    usual_status = 401


class PaymentRequiredError(APIStatusError):
    """402: the account needs a payment."""

    usual_status = 402


class PermissionDeniedError(APIStatusError):
    """403: the token's account does not have permission."""

    usual_status = 403


class NotFoundError(APIStatusError):
    """404: there is no such object, or this account cannot access it."""

    usual_status = 404


class ConflictError(APIStatusError):
    """409: the request conflicts with an object that exists."""

    usual_status = 409


class UnprocessableEntityError(APIStatusError):
    """422: the input does not match the model's schema. `detail` names the field."""

    usual_status = 422


class RateLimitError(APIStatusError):
    """429: too many requests. `retry_after` is the time to wait, if the server sent it."""

    usual_status = 429


class InternalServerError(APIStatusError):
    """5xx: the server failed."""

    usual_status = 500


_BY_STATUS: Mapping[int, type[APIStatusError]] = {
    cls.usual_status: cls for cls in APIStatusError.__subclasses__()
}


def status_error_type(status: int) -> type[APIStatusError]:
    """Return the class of the error for an HTTP status."""
    if status >= 500:
        return InternalServerError
    return _BY_STATUS.get(status, APIStatusError)


class APIResponseError(APIError):
    """A response is malformed: not JSON, or with a missing or wrong field.

    Attributes:
        body: The start of the body, as text.
    """

    def __init__(self, message: str, *, body: str = "") -> None:
        super().__init__(message)
        self.body = body


class PredictionError(DashscopeError):
    """A prediction or training has no result.

    Attributes:
        prediction: The prediction or training, as last seen. An error that a test constructs
            without it has a failed prediction with an empty id.
    """

    def __init__(
        self, message: str, prediction: types.Prediction | types.Training | None = None
    ) -> None:
        super().__init__(message)
        if prediction is None:
            prediction = types.Prediction(id="", status="failed")
        self.prediction: types.Prediction | types.Training = prediction


class ModelError(PredictionError):
    """The model failed. See `prediction.error` and `prediction.logs`."""


class PredictionCanceledError(PredictionError):
    """The prediction was canceled."""


class PredictionTimeoutError(PredictionError, TimeoutError):
    """The prediction did not finish within `timeout`."""


class CheckpointError(DashscopeError):
    """The checkpoint of a batch cannot be used, or belongs to other inputs."""


class StreamError(DashscopeError):
    """A model does not stream, or a part of a stream was lost."""


class FileError(DashscopeError):
    """A file cannot be read, sent or saved."""


class WebhookVerificationError(DashscopeError):
    """A webhook was not signed with the secret, or is too old."""


_restore = restore  # the name in pickles

for _value in list(globals().values()):
    if isinstance(_value, type) and issubclass(_value, DashscopeError):
        _value.__module__ = "dashscope"
