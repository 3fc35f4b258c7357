"""Reporting how far a long call is: a callback, a bar in a notebook, or a line on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from html import escape
from importlib import import_module
from threading import Lock
from typing import Any, TypeAlias

__all__ = ["Progress", "as_report"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a stage's name, bytes done and bytes in all (0 when unknown)."""

REDRAWN_EVERY = 0.2
_MB = 1_000_000


def as_report(progress: Progress | bool | None) -> Progress:
    """A callback for whatever a caller gave: a callback, True, or nothing.

    True is a bar under a notebook's kernel, else a line on stderr. IPython is never loaded for it:
    whoever runs under a kernel has loaded it.
    """
    if callable(progress):
        return progress
    if not progress:
        return _silent
    display = _kernels_display()
    return _Line() if display is None else _Bars(display)


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass


def _kernels_display() -> Callable[..., Any] | None:
    """`IPython.display.display` where a front end shows HTML; None in terminals and scripts."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", _silent_shell)()
    if getattr(shell, "kernel", None) is None:
        return None
    display: Callable[..., Any] = import_module("IPython.display").display
    return display


def _silent_shell() -> None:
    """What stands for `get_ipython` where there is no IPython."""


def _told(stage: str, done: int, total: int) -> str:
    return f"{stage} {min(100, 100 * done // total)} %" if total else f"{stage} {done // _MB:,} MB"


class _Line:
    """Rewrites one line on stderr whenever what it says changes."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        line = _told(stage, done, total)
        if line != self._shown:
            self._shown = line
            end = "\n" if total and done >= total else ""
            sys.stderr.write(f"\r{line}{end}")
            sys.stderr.flush()


class _Bars:
    """One output of a notebook's cell, redrawn in place: a bar per stage. Any thread may call."""

    def __init__(self, display: Callable[..., Any]) -> None:
        self._display = display
        self._lock = Lock()
        self._stages: dict[str, tuple[int, int]] = {}
        self._handle: Any = None
        self._drawn = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        with self._lock:
            self._stages[stage] = done, total
            now = time.monotonic()
            ended = 0 < total <= done
            if not ended and now - self._drawn < REDRAWN_EVERY:
                return
            self._drawn = now
            if self._handle is None:
                self._handle = self._display(self._drawing(), raw=True, display_id=True)
            else:
                self._handle.update(self._drawing(), raw=True)

    def _drawing(self) -> dict[str, str]:
        """The same for front ends with and without HTML."""
        stages = self._stages.items()
        bars = (
            f"<div>{_bar(*amounts)} {escape(_told(name, *amounts))}</div>"
            for name, amounts in stages
        )
        return {
            "text/html": "".join(bars),
            "text/plain": ", ".join(_told(name, *amounts) for name, amounts in stages),
        }


def _bar(done: int, total: int) -> str:
    """HTML's own bar; one without a value moves to and fro."""
    known = f' value="{min(done, total)}" max="{total}"' if total else ""
    return f'<progress style="width:20em"{known}></progress>'
