"""What the server does by itself from time to time: expired files go, idle workers are stopped."""

import asyncio
from typing import Final

from dashscope.local.http.services import Services
from dashscope.local.values import now, timestamp

INTERVAL: Final = 30.0


async def run_maintenance(parts: Services) -> None:
    """Look after the server until cancelled."""
    while True:
        delete_expired_files(parts)
        await parts.engine.stop_idle()
        await asyncio.sleep(INTERVAL)


def delete_expired_files(parts: Services) -> None:
    """Remove the files that have expired; what was made of them is then removed data."""
    for file in parts.store.files.expired(timestamp(now())):
        with parts.store.transaction():
            parts.store.files.delete(file)
            if file.job is not None:
                parts.store.jobs.remove_data(file.job)
        (parts.folder.files / file.id).unlink(missing_ok=True)
