"""The file outputs of a prediction, wherever it comes from."""

from __future__ import annotations

from dashscope._api.requestor import Requestor
from dashscope._api.resource import id_of
from dashscope._common.deadline import Deadline
from dashscope._files.file_output import AsyncFileOutput, files_in
from dashscope._predictions.operations import get_prediction
from dashscope._predictions.outcome import whole
from dashscope.types._value import is_available
from dashscope.types.prediction import Prediction
from dashscope.types.training import Training


async def files_of(
    api: Requestor, prediction: Prediction | Training | str
) -> list[AsyncFileOutput]:
    """Return the files of a prediction. `AsyncClient.files_of` describes the arguments."""
    if isinstance(prediction, Training):
        output = None if prediction.output is None else prediction.output.to_dict()
        return files_in(output, api)
    id = id_of(prediction, Prediction)
    if isinstance(prediction, str) or not is_available(prediction, "output"):
        prediction = await get_prediction(api, id, deadline=Deadline.NEVER, is_poll=False)
    return files_in(whole(prediction).output, api)
