"""A look at the server behind the back of the program under test."""

from __future__ import annotations

import time

from dashscope import Client, Prediction


def find(client: Client, tag: str) -> Prediction | None:
    """The newest prediction of `test/slow` that has this tag."""
    for prediction in client.predictions.list():
        if (prediction.get("input") or {}).get("tag") == tag:
            return prediction
    return None


def running(client: Client, tag: str, *, within: float = 20.0) -> str:
    """Wait until the prediction with this tag runs, and give its id."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        prediction = find(client, tag)
        if prediction is not None and prediction.status == "processing":
            return prediction.id
        time.sleep(0.02)
    raise AssertionError(f"{tag} never ran: {prediction}")


def status_of(client: Client, tag: str) -> str:
    """How the prediction with this tag stands."""
    prediction = find(client, tag)
    assert prediction is not None, f"{tag} was never created"
    return prediction.status
