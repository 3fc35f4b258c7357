"""What became of checkpoints that were to be imported before: a file in the user's cache.

Disposable: commits record their sources in the store, and what is forgotten is read again.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Failure", "Remembered"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a checkpoint could not be committed.

    Attributes:
        kind: of the error.
        message: of the error.
        hint: of the error.
    """

    kind: str
    message: str
    hint: str


class Remembered:
    """Outcomes by source and its version. Thread-safe; several processes may add.

    Args:
        file: one JSON document a line; made when there is something to remember.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str, str], Failure] = {}
        self._stored: dict[tuple[str, str, str], str] = {}
        for line in _lines(file):
            self._take(line)

    def failure(self, source: str, version: str, base: str) -> Failure | None:
        """How a checkpoint of that content failed against that base; None if it did not."""
        return self._failures.get((source, version, base))

    def stored(self, source: str, version: str, ref: str) -> str | None:
        """The commit that a branch had for a checkpoint of that content, if it is known."""
        return self._stored.get((source, version, ref))

    def add_failure(self, source: str, version: str, base: str, failure: Failure) -> None:
        """Remember that reading it again is of no use."""
        entry = {"kind": failure.kind, "message": failure.message, "hint": failure.hint}
        self._add({"source": source, "version": version, "base": base, "failure": entry})

    def add_stored(self, source: str, version: str, ref: str, commit: str) -> None:
        """Remember which commit has it."""
        self._add({"source": source, "version": version, "ref": ref, "commit": commit})

    def _add(self, entry: dict[str, Any]) -> None:
        line = json.dumps(entry) + "\n"
        with self._lock, suppress(OSError):  # a cache: what is not kept is read again
            self._take(line)
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # one write of a whole line, so that other processes' lines stay whole too
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)

    def _take(self, line: str) -> None:
        """One line; a torn or strange one says nothing."""
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            where = (str(entry["source"]), str(entry["version"]))
            if "commit" in entry:
                self._stored[(*where, str(entry["ref"]))] = str(entry["commit"])
            else:
                told = {name: str(entry["failure"][name]) for name in ("kind", "message", "hint")}
                self._failures[(*where, str(entry["base"]))] = Failure(**told)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
