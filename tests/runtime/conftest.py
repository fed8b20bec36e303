"""Run programs that use clients of the prediction server."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.process import CHECKED, TIMEOUT, Finished, Program
from tests.servers.prediction_server import PredictionServer

Script = Callable[..., Finished]

PRELUDE = """
import asyncio, gc, logging, os, signal, sys, threading, time, warnings
from dashscope import AsyncClient, Client

URL = os.environ["BASE_URL"]
# In development mode asyncio logs slow callbacks. On a busy machine, all of them are slow.
logging.getLogger("asyncio").addFilter(lambda record: " took " not in record.getMessage())


def fork(body):
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.alarm(20)
        body()
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def reap(*pids):
    for pid in pids:
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code == 0, code
"""


@pytest.fixture
def script(prediction_server: PredictionServer, tmp_path: Path) -> Script:
    """Run a program and wait for its end."""

    def run(source: str, *, within: float = TIMEOUT) -> Finished:
        path = tmp_path / "program.py"
        path.write_text(PRELUDE + textwrap.dedent(source))
        env = {"BASE_URL": prediction_server.base_url}
        program = Program(*CHECKED, path, cwd=tmp_path, env=env, forked=True)
        return program.finish(within=within)

    return run
