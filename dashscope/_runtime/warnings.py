"""Warnings about clients that were dropped without being closed."""

from __future__ import annotations

import warnings


def warn(name: str, close: str) -> None:
    """Warn about a client that was dropped with open connections."""
    warnings.warn(
        f"unclosed {name}: its connections are closed now. Use the client in a `with` block, or "
        f"call {close} when it is no longer needed",
        ResourceWarning,
        stacklevel=2,
    )
