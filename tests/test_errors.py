"""Errors: one hierarchy, picklable and without secrets."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import dashscope
from dashscope import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    CheckpointError,
    ConfigurationError,
    ConflictError,
    DashscopeError,
    FileError,
    Headers,
    InternalServerError,
    ModelError,
    NotFoundError,
    PaymentRequiredError,
    PermissionDeniedError,
    Prediction,
    PredictionCanceledError,
    PredictionError,
    PredictionTimeoutError,
    RateLimitError,
    StreamError,
    Training,
    UnprocessableEntityError,
    WebhookVerificationError,
)
from dashscope._errors import status_error_type
from tests.variants import variants

BASES: dict[type[DashscopeError], tuple[type, ...]] = {
    ConfigurationError: (DashscopeError,),
    APIError: (DashscopeError,),
    APIConnectionError: (APIError,),
    APITimeoutError: (APIConnectionError, TimeoutError),
    APIStatusError: (APIError,),
    BadRequestError: (APIStatusError,),
    AuthenticationError: (APIStatusError,),
    PaymentRequiredError: (APIStatusError,),
    PermissionDeniedError: (APIStatusError,),
    NotFoundError: (APIStatusError,),
    ConflictError: (APIStatusError,),
    UnprocessableEntityError: (APIStatusError,),
    RateLimitError: (APIStatusError,),
    InternalServerError: (APIStatusError,),
    APIResponseError: (APIError,),
    PredictionError: (DashscopeError,),
    ModelError: (PredictionError,),
    PredictionCanceledError: (PredictionError,),
    PredictionTimeoutError: (PredictionError, TimeoutError),
    StreamError: (DashscopeError,),
    FileError: (DashscopeError,),
    CheckpointError: (DashscopeError,),
    WebhookVerificationError: (DashscopeError,),
}

PREDICTION = Prediction(id="p1", status="failed", error="no", logs="bye", output=[1])


def made(cls: type[DashscopeError]) -> DashscopeError:
    """Return an error of each class, as the client creates it."""
    error: Any
    if issubclass(cls, APIStatusError):
        error = cls(
            "GET https://api.example.com/v1/x: 418",
            status=418,
            title="Teapot",
            detail="Short and stout",
            headers=Headers({"X-Request-Id": "r1", "Content-Type": "application/json"}),
            body='{"detail": "Short and stout"}',
            retry_after=1.5,
        ).after(attempts=3, elapsed=2.5, may_have_been_created=True)
    elif issubclass(cls, APIConnectionError):
        error = cls("no answer", request_sent=False).after(
            attempts=2, elapsed=0.5, may_have_been_created=False
        )
    elif issubclass(cls, APIResponseError):
        error = cls("instead of JSON", body="<html>")
    elif issubclass(cls, PredictionError):
        error = cls("it failed", prediction=PREDICTION)
    else:
        error = cls("it did not work")
    error.add_note("while running owner/name")
    return error


def test_the_hierarchy_of_errors() -> None:
    assert DashscopeError.__bases__ == (Exception,)
    for cls, bases in BASES.items():
        assert cls.__bases__ == bases
    public = {getattr(dashscope, name) for name in dashscope.__all__ if name.endswith("Error")}
    assert public == {DashscopeError, *BASES}


@variants("cls", [DashscopeError, *BASES])
@variants(
    "carry",
    [
        *(
            lambda error, protocol=protocol: pickle.loads(pickle.dumps(error, protocol))
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
        ),
        copy.copy,
        copy.deepcopy,
    ],
    ids=["2", "3", "4", "5", "copy", "deepcopy"],
)
def test_errors_pickle(cls: type[DashscopeError], carry: Any) -> None:
    error = made(cls)
    other = carry(error)
    assert type(other) is cls
    assert str(other) == str(error)
    assert other.args == error.args
    assert vars(other) == vars(error)
    assert other.__notes__ == ["while running owner/name"]


def test_pickled_errors_keep_their_attributes() -> None:
    other = pickle.loads(pickle.dumps(made(RateLimitError)))
    assert (other.status, other.title, other.detail) == (418, "Teapot", "Short and stout")
    assert other.request_id == "r1"
    assert other.headers["CONTENT-TYPE"] == "application/json"
    assert other.retry_after == 1.5
    assert (other.attempts, other.elapsed, other.may_have_been_created) == (3, 2.5, True)
    assert pickle.loads(pickle.dumps(made(ModelError))).prediction == PREDICTION


def test_errors_of_a_training_have_the_training() -> None:
    training = Training(id="t1", status="failed")
    error = ModelError("it failed", prediction=training)
    assert pickle.loads(pickle.dumps(error)).prediction == training


@variants(
    ("status", "cls"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (500, InternalServerError),
        (502, InternalServerError),
        (503, InternalServerError),
        (599, InternalServerError),
        (302, APIStatusError),
        (405, APIStatusError),
        (413, APIStatusError),
        (418, APIStatusError),
    ],
)
def test_each_status_has_a_class(status: int, cls: type[APIStatusError]) -> None:
    assert status_error_type(status) is cls


def test_a_message_contains_the_attempts_and_possible_leftovers() -> None:
    error = APIConnectionError("no answer.", request_sent=True)
    assert str(error) == "no answer."
    error.after(attempts=1, elapsed=9.0, may_have_been_created=False)
    assert str(error) == "no answer."
    error.after(attempts=3, elapsed=2.46, may_have_been_created=True)
    assert "after 3 attempts in 2.5 s" in str(error)
    assert "may have been created" in str(error)
    error.add("Call for help.")
    assert str(error).startswith("no answer. Call for help.")


def test_timeouts_are_timeout_errors() -> None:
    for cls in (APITimeoutError, PredictionTimeoutError):
        with pytest.raises(TimeoutError, match=r"no answer|it failed"):
            raise made(cls)


def test_errors_are_constructed_in_tests_with_one_or_two_arguments() -> None:
    prediction = Prediction(id="p1", status="failed")
    made = [
        NotFoundError("no such model"),
        RateLimitError("slow down", retry_after=3),
        APIStatusError("a teapot", 499),
        InternalServerError("broken"),
        APIConnectionError("refused", request_sent=False),
        APITimeoutError("too late"),
        APIResponseError("not JSON"),
        ModelError("no memory"),
        ModelError("no memory", prediction),
    ]
    assert [error.status for error in made[:4]] == [404, 429, 499, 500]
    assert made[1].retry_after == 3
    assert made[0].request_id is None
    assert [made[-2].prediction.id, made[-1].prediction] == ["", prediction]
    for error in made:
        assert str(pickle.loads(pickle.dumps(error))) == str(error) == error.args[0]
