"""Logging: the standard logger `dashscope`, silent unless configured.

`DASHSCOPE_LOG=debug` or `DASHSCOPE_LOG=info` prints to stderr without further setup. Log lines
never contain a token or a whole body.
"""

from __future__ import annotations

import logging
import os

logger = logging.getLogger("dashscope")
logger.addHandler(logging.NullHandler())


def configure(level: str | None) -> None:
    """Print to stderr from `level` (`debug` or `info`). Any other level prints nothing."""
    if level is None or level.lower() not in ("debug", "info"):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(level.upper())


configure(os.environ.get("DASHSCOPE_LOG"))
