"""The command line as a process of its own: run to its end, or sent a signal on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ENTRY_FIRST", "INSTALLED", "SMALL_PACKS", "Ran", "median_seconds", "run", "signaled"]

ROOT = Path(__file__).resolve().parent.parent.parent

INSTALLED = (str(Path(sys.executable).with_name("deltastore")),)
"""The program as users start it."""

SMALL_PACKS = (sys.executable, "-m", "benchmarks.proofs.small_packs")
"""The same with packs of 8 KiB and slow flushes."""

ENTRY_FIRST = (sys.executable, "-m", "benchmarks.proofs.entry_first")
"""A broken one: its log entries are there before the packs they name."""

PATIENCE = 300


@dataclass(frozen=True, slots=True)
class Ran:
    """What a process left behind.

    Attributes:
        code: exit status; negative when a signal ended it.
        out: standard output.
        err: standard error.
        seconds: from its start to its end.
        signaled: the signal found it running.
    """

    code: int
    out: str
    err: str
    seconds: float
    signaled: bool = False

    @property
    def result(self) -> dict[str, Any] | None:
        """Of the complete JSON document on standard output; None if there is none."""
        try:
            document = json.loads(self.out)
        except ValueError:
            return None
        found = document.get("result") if isinstance(document, dict) else None
        return found if isinstance(found, dict) else None


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of a process: nobody's settings, no credentials but those given."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": "/nonexistent",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}",
        "DELTASTORE_AUTHOR": "proof <proof@example.org>",
        **(extra or {}),
    }


def run(command: Sequence[str], *, extra: Mapping[str, str] | None = None) -> Ran:
    """Run a command to its end."""
    return _started(command, None, signal.SIGKILL, extra)


def signaled(
    command: Sequence[str],
    after: float,
    number: signal.Signals,
    *,
    extra: Mapping[str, str] | None = None,
) -> Ran:
    """Run a command and send it a signal `after` seconds, unless it has ended by then."""
    return _started(command, after, number, extra)


def _started(
    command: Sequence[str],
    after: float | None,
    number: signal.Signals,
    extra: Mapping[str, str] | None,
) -> Ran:
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(extra),
    )
    hit = False
    if after is not None:
        time.sleep(max(0.0, began + after - time.monotonic()))
        hit = process.poll() is None
        process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    return Ran(process.returncode, out, err, time.monotonic() - began, hit)


def median_seconds(runs: Sequence[Ran]) -> float:
    """The median duration of runs that succeeded.

    Raises:
        RuntimeError: one failed.
    """
    for ran in runs:
        if ran.code:
            raise RuntimeError(f"exit {ran.code}: {ran.err}")
    return sorted(ran.seconds for ran in runs)[len(runs) // 2]
