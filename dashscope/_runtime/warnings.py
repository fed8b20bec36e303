"""Clients that nobody has any more, and that nobody has closed."""

from __future__ import annotations

import warnings


def warn(name: str, close: str) -> None:
    """Complain of a client that was dropped with connections open."""
    warnings.warn(
        f"unclosed {name}: its connections are closed now; use it in a `with` block, or call "
        f"{close} when it is done",
        ResourceWarning,
        stacklevel=2,
    )
