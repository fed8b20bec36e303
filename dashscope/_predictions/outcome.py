"""What a prediction that is over comes to: its output, or the error that it has none."""

from __future__ import annotations

from typing import Any

from dashscope import types
from dashscope._errors import ModelError, PredictionCanceledError, PredictionError, shortened


def output_of(ref: str, prediction: types.Prediction) -> Any:
    """The output of a prediction that is over.

    Raises:
        ModelError: when the model failed.
        PredictionCanceledError: when it was cancelled.
        PredictionError: when the service has removed the output.
    """
    if prediction.status == "failed":
        raise failure_of(ref, prediction)
    if prediction.status != "succeeded":
        raise PredictionCanceledError(
            f"{ref} (prediction {prediction.id}) was {prediction.status}.", prediction=prediction
        )
    return whole(prediction).output


def failure_of(ref: str, prediction: types.Prediction, detail: str | None = None) -> ModelError:
    """The error of a model that failed; `detail` is the reason where the prediction has none."""
    reason = prediction.error or detail or "it gave no reason; see its logs"
    return ModelError(
        f"{ref} (prediction {prediction.id}) failed: {shortened(reason)}", prediction=prediction
    )


def whole(prediction: types.Prediction) -> types.Prediction:
    """A prediction whose output is still there.

    Raises:
        PredictionError: when the service has removed it.
    """
    if prediction.data_removed and prediction.status == "succeeded":
        raise PredictionError(
            f"The service has removed the output of prediction {prediction.id}: run it again.",
            prediction=prediction,
        )
    return prediction
