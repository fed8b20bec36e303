"""Find the prediction of the program under test by a tag in its input."""

from __future__ import annotations

import time

from dashscope import Client, Prediction


def find_by_tag(client: Client, tag: str) -> Prediction | None:
    """Return the newest prediction with this tag."""
    for prediction in client.predictions.list():
        if (prediction.get("input") or {}).get("tag") == tag:
            return prediction
    return None


def wait_until_running(client: Client, tag: str, *, within: float = 20.0) -> str:
    """Wait until the prediction with this tag is running, and return its id."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        prediction = find_by_tag(client, tag)
        if prediction is not None and prediction.status == "processing":
            return prediction.id
        time.sleep(0.02)
    raise AssertionError(f"{tag} never ran: {prediction}")


def status_of(client: Client, tag: str) -> str:
    """Return the status of the prediction with this tag."""
    prediction = find_by_tag(client, tag)
    assert prediction is not None, f"{tag} was never created"
    return prediction.status
