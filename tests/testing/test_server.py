"""The fixtures: models that are functions of the test, and assertions about predictions."""

from __future__ import annotations

import asyncio
import time

import pytest

from dashscope import AsyncClient, Client, NotFoundError, PredictionTimeoutError
from dashscope.testing import ModelServer

GONE = "me/shout"


def test_a_function_is_a_model_for_one_test(
    dashscope_server: ModelServer, dashscope_client: Client
) -> None:
    @dashscope_server.model(GONE)
    def shout(text: str, times: int = 1) -> str:
        return text.upper() + "!" * times

    assert shout("hey") == "HEY!"
    assert dashscope_client.run(GONE, {"text": "hey"}) == "HEY!"
    assert dashscope_client.use(GONE)(text="hey", times=3) == "HEY!!!"
    first, second = dashscope_server.assert_created(GONE, {"text": "hey"}, times=2)
    assert (first.output, second.input) == ("HEY!", {"text": "hey", "times": 3})
    dashscope_server.assert_all_done()


def test_models_do_not_leak_into_the_next_test(
    dashscope_server: ModelServer, dashscope_client: Client
) -> None:
    with pytest.raises(NotFoundError):
        dashscope_client.models.get("me", "shout")
    dashscope_server.assert_not_created()


def test_a_function_can_stand_for_a_real_model(
    dashscope_server: ModelServer, dashscope_client: Client
) -> None:
    with ModelServer(dashscope_server._server) as inner:

        @inner.model("dashscope/hello-world")
        def shout(text: str) -> str:
            return "not " + text

        assert dashscope_client.run("dashscope/hello-world", {"text": "Alice"}) == "not Alice"
    assert dashscope_client.run("dashscope/hello-world", {"text": "Alice"}) == "hello Alice"


def test_clients_of_the_code_under_test_find_the_server(dashscope_server: ModelServer) -> None:
    with Client() as client:
        client.run("dashscope/hello-world", {"text": "Alice"})
    dashscope_server.assert_created("dashscope/hello-world", times=1)


def test_canceled_predictions_can_be_asserted(
    dashscope_server: ModelServer, dashscope_async_client: AsyncClient
) -> None:
    @dashscope_server.model("me/sleep")
    def sleep(seconds: float) -> None:
        time.sleep(seconds)

    async def main() -> None:
        with pytest.raises(PredictionTimeoutError):
            await dashscope_async_client.run("me/sleep", {"seconds": 60}, timeout=1.0)

    asyncio.run(main())
    dashscope_server.assert_canceled("me/sleep")
    dashscope_server.assert_canceled(dashscope_server.created()[0])
    dashscope_server.assert_all_done()


def test_a_failed_assertion_shows_the_actual_requests(
    dashscope_server: ModelServer, dashscope_client: Client
) -> None:
    with pytest.raises(AssertionError, match="at least one of a/b to be .*, but there is none"):
        dashscope_server.assert_created("a/b")
    with pytest.raises(AssertionError, match="there is none"):
        dashscope_server.assert_canceled("a/b")
    created = dashscope_client.models.predictions.create(
        "dashscope", "countdown", input={"start": 100, "delay": 1}
    )
    name = "dashscope/countdown"
    with pytest.raises(
        AssertionError, match="2 of dashscope/countdown .* but there are: .*'start'"
    ):
        dashscope_server.assert_created(name, times=2)
    with pytest.raises(AssertionError, match="with {'start': 3}"):
        dashscope_server.assert_created(name, {"start": 3})
    with pytest.raises(AssertionError, match="expected no prediction to be created"):
        dashscope_server.assert_not_created()
    with pytest.raises(AssertionError, match="expected all predictions to be finished"):
        dashscope_server.assert_all_done()
    with pytest.raises(AssertionError, match="expected a cancellation"):
        dashscope_server.assert_canceled(created.id)
    dashscope_client.predictions.cancel(created)
    dashscope_server.assert_canceled(created.id)


NOTHING_LOADED = """
import sys

def test_importing_the_package_does_not_load_the_plugin():
    unwanted = {"httpx", "anyio", "attrs", "dashscope._client", "dashscope.local", "starlette"}
    assert "dashscope.testing" in sys.modules
    assert not unwanted & {name for name, module in sys.modules.items() if module is not None}
"""


def test_an_unused_plugin_loads_nothing_and_without_the_extra_the_fixture_names_it(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest("import sys; sys.modules['uvicorn'] = None")
    pytester.makepyfile(
        test_1=NOTHING_LOADED,
        test_2="def test_without_the_extra(dashscope_client): ...",
    )
    result = pytester.runpytest_subprocess("-p", "dashscope.testing")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*pip install *?testing?'*"])


ASYNC_TEST = """
import pytest

@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

@pytest.mark.anyio
async def test_hello(dashscope_async_client):
    output = await dashscope_async_client.run("dashscope/hello-world", {"text": "Alice"})
    assert output == "hello Alice"
"""


def test_the_async_client_is_closed_in_the_loop_of_its_test(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(ASYNC_TEST)
    plugins = ["-p", "anyio.pytest_plugin", "-p", "dashscope.testing"]
    pytester.runpytest_inprocess(*plugins, "-W", "error").assert_outcomes(passed=2)
