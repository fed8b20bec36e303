"""Periodic maintenance: deletes expired files and stops idle workers."""

import asyncio
import logging
import sqlite3
from typing import Final

from dashscope.local.http.services import Services
from dashscope.local.values import now, timestamp

logger = logging.getLogger("dashscope.local")

INTERVAL: Final = 30.0


async def run_maintenance(parts: Services) -> None:
    """Run the maintenance tasks until cancelled."""
    while True:
        try:
            delete_expired_files(parts)
        except (OSError, sqlite3.Error):
            logger.exception("expired files cannot be deleted")
        await parts.engine.stop_idle()
        await asyncio.sleep(INTERVAL)


def delete_expired_files(parts: Services) -> None:
    """Delete expired files. Jobs with expired output files lose their inputs and outputs."""
    for file in parts.store.files.expired(timestamp(now())):
        with parts.store.transaction():
            parts.store.files.delete(file)
            if file.job is not None:
                parts.store.jobs.remove_data(file.job)
        (parts.folder.files / file.id).unlink(missing_ok=True)
