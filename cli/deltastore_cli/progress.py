"""Work under way, on standard error: bars on a terminal, one plain line a minute elsewhere."""

from __future__ import annotations

import os
import sys
import time
from contextlib import nullcontext
from threading import Lock
from typing import TYPE_CHECKING, Self

from deltastore_cli.quantities import share_text, size_text
from deltastore_cli.terminal import colored, write_error

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from deltastore.config import ProgressMode

__all__ = ["Bars", "PlainLines", "progress_report"]

QUIET_START = 1.0
LINE_INTERVAL = 60.0


def progress_report(
    command: str, mode: ProgressMode
) -> AbstractContextManager[Bars | PlainLines | None]:
    """What shows a long call's progress; to be entered around it and given as `progress=`."""
    if mode == "auto":
        mode = "bar" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    if mode == "none":
        return nullcontext()
    return Bars() if mode == "bar" else PlainLines(command)


class PlainLines:
    """One line a minute: `commit 41 % 6.6 GB of 16.1 GB 395 MB/s`."""

    def __init__(self, command: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._command = command
        self._clock = clock
        self._lock = Lock()
        self._stage = ""
        self._begun = self._told = clock()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take notice of `done` of `total` bytes in a stage; any thread may call."""
        with self._lock:
            now = self._clock()
            if stage != self._stage:
                self._stage, self._begun = stage, now
            if now - self._told >= LINE_INTERVAL:
                self._told = now
                write_error(f"{self._command}: {_line(stage, done, total, now - self._begun)}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _line(stage: str, done: int, total: int, seconds: float) -> str:
    speed = f" {size_text(done / seconds)}/s" if seconds > 0 else ""
    if not total:
        return f"{stage} {size_text(done)}{speed}"
    return f"{stage} {share_text(done, total)} {size_text(done)} of {size_text(total)}{speed}"


class Bars:
    """Bars by rich, one per stage, for work that takes over a second; gone when it ends."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._begun = clock()
        self._bars: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Take notice of `done` of `total` bytes in a stage; any thread may call."""
        with self._lock:
            if self._bars is None:
                if self._clock() - self._begun < QUIET_START:
                    return
                self._bars = _started_bars()
            if stage not in self._tasks:
                self._tasks[stage] = self._bars.add_task(stage, total=total or None)
            self._bars.update(self._tasks[stage], completed=done, total=total or None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._bars is not None:
                self._bars.stop()


def _started_bars() -> RichProgress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(
        stderr=True, force_terminal=True, no_color=not colored(sys.stderr), legacy_windows=False
    )
    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
    bars.start()
    return bars
