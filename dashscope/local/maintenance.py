"""Background tasks: delete expired files, stop idle workers, reload edited models."""

import asyncio
import logging
import sqlite3
from typing import Final

from dashscope.local.http.services import Services
from dashscope.local.values import now, timestamp

logger = logging.getLogger("dashscope.local")

INTERVAL: Final = 30.0
RELOAD_INTERVAL: Final = 0.3
"""Seconds between two checks for edits of the models file."""


async def run_maintenance(parts: Services) -> None:
    """Run the maintenance tasks until canceled."""
    while True:
        try:
            delete_expired_files(parts)
        except (OSError, sqlite3.Error):
            logger.exception("expired files cannot be deleted")
        await parts.engine.stop_idle()
        await asyncio.sleep(INTERVAL)


async def reload_models(parts: Services) -> None:
    """Load the models file again after each edit, until canceled."""
    file = parts.models_file
    while file is not None:
        await asyncio.sleep(RELOAD_INTERVAL)
        if not await asyncio.to_thread(file.has_changed):
            continue
        loaded = await asyncio.to_thread(file.read)
        try:
            versions = file.register(parts.catalog, loaded) if loaded is not None else []
        except (OSError, sqlite3.Error):
            logger.exception("the models cannot be registered")
            continue
        if file.problem is None:
            logger.info("loaded %s again", file.path)
        else:
            logger.warning("%s", file.problem)
        await parts.engine.reload(versions)
        parts.feed.notify()


def delete_expired_files(parts: Services) -> None:
    """Delete expired files. Jobs with expired output files lose their inputs and outputs."""
    for file in parts.store.files.expired(timestamp(now())):
        with parts.store.transaction():
            parts.store.files.delete(file)
            if file.job is not None:
                parts.store.jobs.remove_data(file.job)
        (parts.folder.files / file.id).unlink(missing_ok=True)
