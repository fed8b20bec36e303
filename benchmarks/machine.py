"""The machine on which the benchmarks ran."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """Return the processor, cores, memory and system."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        "cores": os.cpu_count(),
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
    }


def load() -> float:
    """Return the load average of the last minute."""
    return os.getloadavg()[0]


def _memory() -> str:
    kilobytes = _field("/proc/meminfo", "MemTotal").split(" ")[0]
    return f"{int(kilobytes) / 1024**2:.0f} GiB" if kilobytes.isdigit() else "unknown memory"


def _field(path: str, name: str) -> str:
    if Path(path).exists():
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""
