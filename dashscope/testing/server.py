"""`ModelServer`: a local server for one test, with its models and assertions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

from dashscope import Client, Prediction
from dashscope.local import LocalServer, model

Function = TypeVar("Function", bound=Callable[..., Any])


class ModelServer:
    """A local server for one test, with the models and predictions of this test.

    Example:
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
        self._exit_stack = ExitStack()
        self._last: str | None = None

    @property
    def base_url(self) -> str:
        """The address of the server, for clients."""
        return self._server.base_url

    def model(self, name: str, **options: Any) -> Callable[[Function], Function]:
        """Register a function as a model for this test. The name can be that of a real model.

        The function runs in its own process: the test sees what it returns and prints, but not
        changes of variables.

        Args:
            name: The name of the model, as `owner/name`.
            options: The options of `dashscope.local.model`.

        Returns:
            A decorator.

        Raises:
            ModelsError: If the function cannot be a model.

        Example:
            ```python
            def test_it_echoes(dashscope_server, dashscope_client):
                @dashscope_server.model("me/echo")
                def echo(text: str) -> str:
                    return text

                assert dashscope_client.run("me/echo", {"text": "hey"}) == "hey"
            ```
        """
        mark = model(name, **options)

        def register(function: Function) -> Function:
            marked = mark(function)
            versions = self._server.add(marked)
            self._exit_stack.callback(self._server.remove, versions)
            return marked

        return register

    def created(self, model: str | None = None) -> list[Prediction]:
        """Return the predictions that this test created, oldest first.

        Args:
            model: Only predictions of this model, as `owner/name`.

        Returns:
            The predictions.

        Raises:
            APIError: If the server cannot be reached.

        Example:
            ```python
            def test_it_creates_one(dashscope_server, dashscope_client):
                dashscope_client.run("dashscope/hello-world", {"text": "hey"})
                assert len(dashscope_server.created("dashscope/hello-world")) == 1
            ```
        """
        found: list[Prediction] = []
        with self._client.iterate(self._client.predictions.list) as predictions:
            for prediction in predictions:
                if prediction.id == self._last:
                    break
                if model is None or prediction.model == model:
                    whole = {"input", "output"} <= prediction.raw.keys()
                    found.append(prediction if whole else self._client.predictions.get(prediction))
        return found[::-1]

    def assert_created(
        self, model: str, input: Mapping[str, Any] | None = None, *, times: int | None = None
    ) -> list[Prediction]:
        """Check that this test created predictions of a model.

        Args:
            model: The model, as `owner/name`.
            input: Values that the input must contain. Other values are allowed.
            times: The number of predictions. Defaults to at least one.

        Returns:
            The matching predictions, oldest first.

        Raises:
            AssertionError: If there are none, or not as many.

        Example:
            ```python
            def test_it_greets(dashscope_server, dashscope_client):
                dashscope_client.run("dashscope/hello-world", {"text": "Alice"})
                dashscope_server.assert_created("dashscope/hello-world", {"text": "Alice"}, times=1)
            ```
        """
        wanted = dict(input or {})
        every = self.created(model)
        found = [prediction for prediction in every if _has(prediction.input or {}, wanted)]
        if len(found) == times or (times is None and found):
            return found
        expected = "at least one" if times is None else str(times)
        what = f"{expected} of {model}" + (f" with {wanted!r}" if wanted else "")
        raise AssertionError(f"expected {what} to be created, but {_listed(every)}")

    def assert_not_created(self, model: str | None = None) -> None:
        """Check that this test created no prediction.

        Args:
            model: Check only predictions of this model, as `owner/name`.

        Raises:
            AssertionError: If there is a prediction.

        Example:
            ```python
            def test_it_asks_no_model(dashscope_server):
                dashscope_server.assert_not_created()
            ```
        """
        if every := self.created(model):
            raise AssertionError(f"expected no prediction to be created, but {_listed(every)}")

    def assert_canceled(self, what: Prediction | str) -> None:
        """Check that a prediction, or every prediction of a model in this test, was canceled.

        Args:
            what: The prediction, its id, or the `owner/name` of a model.

        Raises:
            AssertionError: If it was not canceled, or the model has no predictions.

        Example:
            ```python
            def test_it_is_canceled(dashscope_server, dashscope_client):
                model = dashscope_client.use("dashscope/countdown")
                prediction = model.create(start=3, delay=5)
                dashscope_client.predictions.cancel(prediction)
                dashscope_client.wait(prediction)
                dashscope_server.assert_canceled(prediction)
            ```
        """
        if isinstance(what, str) and "/" in what:
            every = self.assert_created(what)
        else:
            every = [self._client.predictions.get(what)]
        if any(prediction.status not in ("canceled", "aborted") for prediction in every):
            raise AssertionError(f"expected a cancellation, but {_listed(every)}")

    def assert_all_done(self) -> None:
        """Check that no prediction of this test is still running.

        Raises:
            AssertionError: If one is still running.

        Example:
            ```python
            def test_it_waits(dashscope_server, dashscope_client):
                dashscope_client.run("dashscope/hello-world", {"text": "Alice"})
                dashscope_server.assert_all_done()
            ```
        """
        every = self.created()
        if any(not prediction.is_done for prediction in every):
            raise AssertionError(f"expected all predictions to be finished, but {_listed(every)}")

    def __enter__(self) -> Self:
        self._client = self._exit_stack.enter_context(Client(base_url=self.base_url))
        self._last = next((one.id for one in self._client.predictions.list()), None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit_stack.close()


def _has(input: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(name in input and input[name] == value for name, value in wanted.items())


def _listed(predictions: list[Prediction]) -> str:
    if not predictions:
        return "there is none"
    return "there are: " + "; ".join(
        f"{one.id} of {one.model}, {one.status}, with {one.input!r}" for one in predictions
    )
