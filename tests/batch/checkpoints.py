"""Read and change closed checkpoints."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any


def stored(path: Path, sql: str = "SELECT * FROM row ORDER BY position") -> list[dict[str, Any]]:
    """Return the rows of a closed checkpoint."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in connection.execute(sql)]
    finally:
        connection.close()


def change(path: Path, sql: str) -> None:
    """Change a closed checkpoint."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()
