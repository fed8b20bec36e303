"""The result of a finished prediction: its output or an error."""

from __future__ import annotations

from typing import Any

from dashscope import types
from dashscope._errors import ModelError, PredictionCanceledError, PredictionError, shortened


def output_of(ref: str, prediction: types.Prediction) -> Any:
    """Return the output of a finished prediction.

    Raises:
        ModelError: If the model failed.
        PredictionCanceledError: If the prediction was canceled.
        PredictionError: If the service has removed the output.
    """
    if prediction.status == "failed":
        raise failure_of(ref, prediction)
    if prediction.status != "succeeded":
        raise PredictionCanceledError(
            f"The prediction {prediction.id} of {ref} was {prediction.status}.",
            prediction=prediction,
        )
    return whole(prediction).output


def failure_of(ref: str, prediction: types.Prediction, detail: str | None = None) -> ModelError:
    """Return the error of a model that failed.

    Args:
        ref: The model, for the message.
        prediction: The prediction.
        detail: The reason to use if the prediction has none.
    """
    reason = prediction.error or detail or "the model gave no reason, see prediction.logs"
    return ModelError(
        f"{ref} failed (prediction {prediction.id}): {shortened(reason)}", prediction=prediction
    )


def whole(prediction: types.Prediction) -> types.Prediction:
    """Return a prediction if its output is still there.

    Raises:
        PredictionError: If the service has removed the output.
    """
    if prediction.data_removed and prediction.status == "succeeded":
        raise PredictionError(
            f"The service has removed the output of the prediction {prediction.id}. Run it again.",
            prediction=prediction,
        )
    return prediction
