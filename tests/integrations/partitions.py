"""A worker of the tests of `udf()`: a process that runs the model over a partition.

The processes import this module, which imports nothing that they do not need.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from dashscope.integrations.dataframes import ModelUdf


def numbers(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Return rows whose numbers count up."""
    return [{"number": first + number, "other": "x"} for number in range(count)]


def work(run: ModelUdf, first: int, count: int, errors: Path) -> None:
    """Run the model over a partition, as the main function of a process.

    Args:
        run: The function of the model.
        first: The number of the first row.
        count: The number of rows.
        errors: The file to write stderr to.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with errors.open("w") as file:
        os.dup2(file.fileno(), 2)
    run(numbers(count, first))
