"""Check that the tests notice mistakes: change one line of the client at a time and run some tests.

`python -m tests.mutations` prints which of the changes are caught, and fails if more than one is
not. `python -m tests.mutations 3 7` tries only these. Each change is made in a copy of the project.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[1]
MAY_SURVIVE = 1


@frozen
class Mutation:
    """A one-line change that a user would notice.

    Attributes:
        what: What is wrong after the change.
        path: The file.
        line: The text to replace, which the file contains once.
        replacement: The text that replaces it.
        tests: The tests that should fail.
    """

    what: str
    path: str
    line: str
    replacement: str
    tests: tuple[str, ...]


MUTATIONS = [
    Mutation(
        "a create is repeated after any status",
        "_api/retry.py",
        "return result.status == 429 or result.not_executed",
        "return result.status in RETRIED_STATUSES or result.not_executed",
        ("tests/api/test_retry.py", "tests/api/test_retries.py"),
    ),
    Mutation(
        "a lost create is repeated",
        "_api/retry.py",
        "return repeatable or not result.request_sent",
        "return repeatable or result.request_sent",
        ("tests/api/test_retry.py", "tests/api/test_retries.py"),
    ),
    Mutation(
        "Retry-After shortens the back-off",
        "_api/retry.py",
        "return max(seconds, min(requested, LONGEST_REQUESTED_DELAY))",
        "return min(requested, LONGEST_REQUESTED_DELAY) or seconds",
        ("tests/api/test_retry.py",),
    ),
    Mutation(
        "an error of a create hides that something may have been created",
        "_api/retry.py",
        "(result.status in (408, 499) or result.status >= 500)",
        "(result.status in (408, 499) or result.status > 500)",
        ("tests/api/test_retry.py", "tests/api/test_error_responses.py"),
    ),
    Mutation(
        "one retry too many",
        "_api/requestor.py",
        "if attempts > self.config.max_retries:",
        "if attempts > self.config.max_retries + 1:",
        ("tests/api/test_retries.py",),
    ),
    Mutation(
        "the back-off is not awaited",
        "_api/requestor.py",
        "await self.runtime.sleep(delay)",
        "self.runtime.sleep(delay).close()",
        ("tests/api/test_retries.py",),
    ),
    Mutation(
        "every server gets the token",
        "_api/requestor.py",
        "token=self.config.token if is_trusted else None,",
        "token=self.config.token,",
        ("tests/api/test_tokens.py", "tests/faults/test_secrets.py"),
    ),
    Mutation(
        "a download sends the client's headers to other hosts",
        "_api/requestor.py",
        "if not self.is_trusted(url):",
        "if self.is_trusted(url):",
        ("tests/api/test_tokens.py",),
    ),
    Mutation(
        "redirects are not checked",
        "_api/fetch.py",
        "came_from, url = url, urls.joined(url, location)",
        "came_from, url = None, urls.joined(url, location)",
        ("tests/api/test_tokens.py", "tests/faults/test_unsafe_urls.py"),
    ),
    Mutation(
        "a run that is canceled leaves its prediction running",
        "_predictions/watch.py",
        "if error is not None and not isinstance(error, GeneratorExit):",
        "if isinstance(error, Exception):",
        ("tests/predictions/test_cancel_notes.py", "tests/client/test_canceling.py"),
    ),
    Mutation(
        "the create is not protected from cancellation",
        "_predictions/watch.py",
        "await self._api.runtime.shield(run, grace=CLEAN_UP)",
        "await run()",
        ("tests/client/test_canceling.py",),
    ),
    Mutation(
        "no poll after the deadline",
        "_predictions/watch.py",
        "if job is None or not job.is_done:\n            raise",
        "if job is None or job.is_done:\n            raise",
        ("tests/predictions/test_run_stream.py", "tests/predictions/test_wait.py"),
    ),
    Mutation(
        "a 404 just after the create ends the wait",
        "_predictions/watch.py",
        "if not (is_unknown_yet or retry.may_repeat(attempt, repeatable=True)):",
        "if not retry.may_repeat(attempt, repeatable=True):",
        ("tests/predictions/test_run.py",),
    ),
    Mutation(
        "polls accelerate after a 429",
        "_api/polling.py",
        "self.slowdown = min(self.SLOWEST, self.slowdown * 2)",
        "self.slowdown = min(self.SLOWEST, self.slowdown / 2)",
        ("tests/api/test_polling.py", "tests/predictions/test_wait.py"),
    ),
    Mutation(
        "the limit of a batch does not recover",
        "_batch/rate_limiter.py",
        "self._limit + 1.0 / self._limit)",
        "self._limit - 1.0 / self._limit)",
        ("tests/batch/test_scheduler.py",),
    ),
    Mutation(
        "a create that completes after the batch was closed is not canceled",
        "_batch/creator.py",
        "if context.is_canceling:",
        "if not context.is_canceling:",
        ("tests/batch/test_closing.py", "tests/batch/test_results.py"),
    ),
    Mutation(
        "truncated responses are accepted",
        "_transport/decompression.py",
        "if self._packed or (self._started and not self._decompressor.eof):",
        "if self._packed:",
        ("tests/faults/test_bounds.py",),
    ),
    Mutation(
        "a connection that the server closed is used again",
        "_transport/pool/idle.py",
        "if connection.is_idle() and not connection.has_expired():",
        "if connection.is_idle():",
        ("tests/transport/test_pool.py", "tests/faults/test_keep_alive.py"),
    ),
    Mutation(
        "a call that ends while it connects claims that its request was sent",
        "_transport/pool/pool.py",
        "state.has_begun = False",
        "state.has_begun = True",
        ("tests/transport/test_deadlines.py",),
    ),
    Mutation(
        "an expired webhook is accepted",
        "webhooks.py",
        "if abs(age) > tolerance:",
        "if -age > tolerance:",
        ("tests/test_webhooks.py",),
    ),
]


def is_caught(mutation: Mutation, copy: Path) -> bool:
    """Apply a change to the copy, run its tests, and undo the change."""
    path = copy / "dashscope" / mutation.path
    source = path.read_text("utf-8")
    assert source.count(mutation.line) == 1, (mutation.path, mutation.line)
    path.write_text(source.replace(mutation.line, mutation.replacement), "utf-8")
    options = ["-q", "-x", "-n", "0", "-p", "no:cacheprovider", "--timeout", "60"]
    command = [sys.executable, "-B", "-m", "pytest", *options, *mutation.tests]
    try:
        code = subprocess.run(command, cwd=copy, capture_output=True, check=False).returncode
    finally:
        path.write_text(source, "utf-8")
    assert code in (0, 1), f"pytest exits with {code} for {mutation.tests}"
    return code == 1


def main(chosen: set[int]) -> int:
    """Try the chosen mutations, by default all. Return the exit code."""
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        ignored = shutil.ignore_patterns(".*", "__pycache__", "dist", "node_modules")
        shutil.copytree(ROOT, copy, ignore=ignored)
        for number, mutation in enumerate(MUTATIONS, 1):
            if chosen and number not in chosen:
                continue
            started = time.monotonic()
            caught = is_caught(mutation, copy)
            survived += not caught
            took = time.monotonic() - started
            state = "caught  " if caught else "SURVIVED"
            print(f"{number:2} {state} {took:5.1f} s  {mutation.path}: {mutation.what}", flush=True)
    print(f"{survived} of {len(chosen or MUTATIONS)} mutations survived")
    return int(survived > MAY_SURVIVE)


if __name__ == "__main__":
    sys.exit(main({int(argument) for argument in sys.argv[1:]}))
