"""`ModelServer`: a local server for one test: its models, and what was done with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from dashscope import Client, Prediction
from dashscope.local import LocalServer, model

Function = TypeVar("Function", bound=Callable[..., Any])


class ModelServer:
    """A local server, as one test sees it: the models it registered, the predictions since then.

    ```python
    def test_it_shouts(dashscope_server, dashscope_client):
        @dashscope_server.model("me/shout")
        def shout(text: str) -> str:
            return text.upper()

        assert dashscope_client.run("me/shout", {"text": "hey"}) == "HEY"
        dashscope_server.assert_created("me/shout", {"text": "hey"}, times=1)
    ```
    """

    def __init__(self, server: LocalServer) -> None:
        self._server = server
        self._leave = ExitStack()
        self._last: str | None = None

    @property
    def base_url(self) -> str:
        """The address for clients."""
        return self._server.base_url

    def model(self, name: str, **options: Any) -> Callable[[Function], Function]:
        """Register a function as a model for this test, by any name, a real model's too.

        It runs in a process of its own: what it does to variables of the test, the test does not
        see; what it returns and prints, it does.

        Args:
            name: `owner/name`.
            options: as `dashscope.local.model` takes them.

        Returns:
            The decorator.

        Raises:
            ModelsError: when the function cannot be a model.
        """
        mark = model(name, **options)

        def register(function: Function) -> Function:
            marked = mark(function)
            versions = self._server.add(marked)
            self._leave.callback(self._server.remove, versions)
            return marked

        return register

    def created(self, model: str | None = None) -> list[Prediction]:
        """The predictions that were created in this test, oldest first.

        Args:
            model: those of this model only, `owner/name`.
        """
        found: list[Prediction] = []
        with self._client.iterate(self._client.predictions.list) as predictions:
            for prediction in predictions:
                if prediction.id == self._last:
                    break
                if model is None or prediction.model == model:
                    found.append(prediction)
        return found[::-1]

    def assert_created(
        self, model: str, input: Mapping[str, Any] | None = None, *, times: int | None = None
    ) -> list[Prediction]:
        """Check that predictions by a model were created in this test.

        Args:
            model: `owner/name`.
            input: what their inputs have in them, among others.
            times: how many there are; by default one at least.

        Returns:
            Those predictions, oldest first.

        Raises:
            AssertionError: when there are none, or not as many.
        """
        wanted = dict(input or {})
        every = self.created(model)
        found = [prediction for prediction in every if _has(prediction.input or {}, wanted)]
        if len(found) == times or (times is None and found):
            return found
        expected = "at least one" if times is None else str(times)
        what = f"{expected} of {model}" + (f" with {wanted!r}" if wanted else "")
        raise AssertionError(f"{what} was to be created, but {_listed(every)}")

    def assert_not_created(self, model: str | None = None) -> None:
        """Check that no prediction was created in this test.

        Args:
            model: by this model only, `owner/name`.

        Raises:
            AssertionError: when there is one.
        """
        if every := self.created(model):
            raise AssertionError(f"nothing was to be created, but {_listed(every)}")

    def assert_canceled(self, what: Prediction | str) -> None:
        """Check that a prediction, or every one of a model in this test, was cancelled.

        Args:
            what: the prediction, its id, or `owner/name`.

        Raises:
            AssertionError: when it was not, or the model has none.
        """
        if isinstance(what, str) and "/" in what:
            every = self.assert_created(what)
        else:
            every = [self._client.predictions.get(what)]
        if any(prediction.status not in ("canceled", "aborted") for prediction in every):
            raise AssertionError(f"it was to be cancelled, but {_listed(every)}")

    def assert_all_done(self) -> None:
        """Check that no prediction of this test still runs.

        Raises:
            AssertionError: when one does.
        """
        every = self.created()
        if any(not prediction.is_done for prediction in every):
            raise AssertionError(f"nothing was to be running any more, but {_listed(every)}")

    def __enter__(self) -> Self:
        self._client = self._leave.enter_context(Client(base_url=self.base_url))
        self._last = next((one.id for one in self._client.predictions.list()), None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave.close()


def _has(input: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in input and input[name] == value for name, value in wanted.items())


def _listed(predictions: list[Prediction]) -> str:
    if not predictions:
        return "there is none"
    return "there are: " + "; ".join(
        f"{one.id} of {one.model}, {one.status}, with {one.input!r}" for one in predictions
    )
