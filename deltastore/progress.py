"""Reporting how far a long call is: a callback, or a line on stderr that works in notebooks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeAlias

__all__ = ["Progress", "as_report"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a stage's name, bytes done and bytes in all (0 when unknown)."""


def as_report(progress: Progress | bool | None) -> Progress:
    """A callback for whatever a caller gave: a callback, True, or nothing."""
    if callable(progress):
        return progress
    return _Line() if progress else _silent


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass


class _Line:
    """Rewrites one line on stderr whenever the percentage changes."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        line = f"{stage} {100 * done // total if total else 0} %"
        if line != self._shown:
            self._shown = line
            end = "\n" if total and done >= total else ""
            sys.stderr.write(f"\r{line}{end}")
            sys.stderr.flush()
