"""`progress_bar()`: a progress bar for `map()`, in terminals and notebooks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

from dashscope import types
from dashscope._common.installing import install_command
from dashscope._common.validation import check_count
from dashscope._errors import ConfigurationError

# At run time too, so that the annotations resolve.
if TYPE_CHECKING or find_spec("rich") is not None:
    from rich.console import Console
    from rich.progress import Progress, TaskID


def progress_bar(
    description: str = "Predictions", *, total: int | None = None, console: Console | None = None
) -> Callable[[types.BatchProgress], None]:
    """Return a progress bar to pass as `progress` to `map()`.

    The bar is drawn on stderr in a terminal and below the cell in a notebook. Elsewhere, only its
    final state is printed, as one line. Requires the extra `cli`.

    Args:
        description: The text before the bar.
        total: The number of inputs, if they have no `len()`.
        console: The `rich.console.Console` to draw on. Defaults to stderr.

    Returns:
        A callable that updates the bar.

    Raises:
        ConfigurationError: If `rich` is not installed.

    Example:
        ```python
        from dashscope import progress_bar

        inputs = [{"text": name} for name in ("Alice", "Bob")]
        async with client.map("dashscope/hello-world", inputs, progress=progress_bar()) as results:
            print([result.output async for result in results])
        ```
    """
    try:
        import rich.progress  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ModuleNotFoundError:
        raise ConfigurationError(
            f"progress_bar() requires rich: {install_command('cli')}"
        ) from None
    if total is not None:
        check_count("total", total, least=0)
    return _Bar(description, total, console)


class _Bar:
    def __init__(self, description: str, total: int | None, console: Console | None) -> None:
        self._description = description
        self._total = total
        self._console = console
        self._shown: tuple[Progress, TaskID] | None = None

    def __call__(self, progress: types.BatchProgress) -> None:
        if self._shown is None:
            self._shown = self._start()
        display, task = self._shown
        finished = progress.done + progress.failed + progress.skipped
        total = progress.total if self._total is None else self._total
        display.update(
            task,
            total=total,
            completed=finished,
            counts=_counts(progress, finished, total),
            refresh=True,
        )
        if progress.is_over:
            self._shown = None
            display.stop()

    def _start(self) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        display = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            console=self._console or Console(stderr=True),
            # Output that is redirected to a file or a pipe must not appear above the bar.
            redirect_stdout=sys.stdout.isatty(),
        )
        task = display.add_task(self._description, total=self._total, counts="")
        display.start()
        return display, task


def _counts(progress: types.BatchProgress, finished: int, total: int | None) -> str:
    parts = [str(finished) if total is None else f"{finished}/{total}"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.running:
        parts.append(f"{progress.running} running")
    if progress.rate > 0:
        parts.append(f"{progress.rate:.1f}/s")
        if not progress.is_over and total is not None:
            parts.append(f"{timedelta(seconds=round((total - finished) / progress.rate))} left")
    return ", ".join(parts)
