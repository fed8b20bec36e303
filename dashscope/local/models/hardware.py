"""The processors and graphics cards of this machine, as listed by ``hardware.list``."""

import asyncio
import os
import platform
import shutil
from subprocess import DEVNULL, PIPE
from typing import Final

_QUERY: Final = ("--query-gpu=name,memory.total", "--format=csv,noheader")
_TIMEOUT: Final = 10.0


async def hardware() -> list[dict[str, str]]:
    """Return the processors, and the graphics cards that ``nvidia-smi`` reports."""
    found = [{"sku": "cpu", "name": _processors()}]
    for number, line in enumerate(await _graphics_cards()):
        found.append({"sku": f"gpu-{number}", "name": f"GPU: {line}"})
    return found


def _processors() -> str:
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        memory = f", {size / 2**30:.0f} GiB"
    return f"CPU: {os.cpu_count() or 1} x {platform.machine() or 'unknown'}{memory}"


async def _graphics_cards() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    process = await asyncio.create_subprocess_exec(program, *_QUERY, stdout=PIPE, stderr=DEVNULL)
    try:
        output, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
        return []
    return [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
