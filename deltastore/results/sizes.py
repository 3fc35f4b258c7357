"""Sizes as people say them."""

from __future__ import annotations

__all__ = ["size_text"]


def size_text(count: float) -> str:
    """Bytes in decimal units to three digits, such as `2.14 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"
