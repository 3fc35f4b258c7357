"""A bounded folder of ranges, shared by any number of processes without a lock.

Every step that a process takes is one that any other may see half done or undone: entries appear
whole, vanish whole, and whoever meets one that has just vanished has a miss.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deltastore.cache.entries import HEAD_BYTES, Entry, is_unfinished, listed, parse_entry
from deltastore.cache.entries import read as read_entry
from deltastore.cache.entries import write as write_entry

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RANGES", "RangeFolder"]

RANGES = "ranges"
"""The part of a cache folder that is ours; nothing outside it is read or removed."""

SHARES = 16
UNFINISHED_SECONDS = 900.0
"""Age at which what a writer left unfinished counts as left behind."""

ATTEMPTS = 3
_GONE = (FileNotFoundError, FileExistsError)
"""What making a file in a folder raises that others remove: the second one is `mkdir`'s answer to a
folder that was there when it tried, and not any more when it looked."""

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _File:
    """A file of ours: when it was used last, its size, where it is."""

    used: float
    size: int
    path: Path
    unfinished: bool


class RangeFolder:
    """Ranges of immutable objects in files below a folder. Thread-safe.

    The ranges used least recently go when there are too many. Of n processes that write at once
    each may pass the limit by a sixteenth of it.

    Args:
        folder: of the cache.
        limit: bytes that all files together may have.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._root = folder / RANGES
        self._limit = limit
        self._room = 0
        self._writing = limit > 0
        self._lock = threading.Lock()

    def find(self, key: str, start: int, stop: int) -> list[Entry]:
        """Entries of an object that may have some of these bytes."""
        exact = Entry(start, stop)
        folder = self._root / key
        if os.path.exists(folder / exact.name):  # unlike Path's, never raises
            return [exact]
        return [entry for entry in listed(folder) if entry.start < stop and start < entry.stop]

    def read(self, key: str, entry: Entry) -> bytes | None:
        """The bytes of an entry, verified; None when it is not there any more, or damaged."""
        return read_entry(self._root / key, key, entry)

    def write(self, key: str, entry: Entry, data: bytes) -> None:
        """Keep a range; when that fails, the cache stops writing and says so once."""
        size = len(data) + HEAD_BYTES
        if not data or not self._writing or size > self._limit // 2:
            return
        try:
            self._make_room(size)
            self._publish(key, entry, data)
        except _GONE:  # its folder went each time: somebody clears the cache
            return
        except OSError as reason:
            self._stop(reason)

    def forget(self, key: str) -> None:
        """Remove all that is kept of an object."""
        folder = self._root / key
        for entry in listed(folder):
            with suppress(OSError):
                (folder / entry.name).unlink()

    def census(self) -> tuple[int, int]:
        """Number and bytes of the entries."""
        sizes = [file.size for file in self._files() if not file.unfinished]
        return len(sizes), sum(sizes)

    def clear(self) -> int:
        """Remove everything; returns the bytes that are free now.

        Raises:
            OSError: something cannot be removed.
        """
        return sum(file.size for file in list(self._files()) if _removed(file.path))

    def _publish(self, key: str, entry: Entry, data: bytes) -> None:
        folder = self._root / key
        for _ in range(ATTEMPTS - 1):
            with suppress(*_GONE):  # whoever made room also removed the empty folder
                write_entry(folder, key, entry, data)
                return
        write_entry(folder, key, entry, data)

    def _stop(self, reason: OSError) -> None:
        with self._lock:
            told, self._writing = not self._writing, False
        if not told:
            _LOGGER.warning(
                "the cache in %s is off: %s; everything is read from the store",
                self._root.parent,
                reason.strerror or reason,
            )

    def _make_room(self, size: int) -> None:
        """See that `size` more bytes fit, looking at all files only once in a while."""
        with self._lock:
            if size > self._room:
                share = max(size, self._limit // SHARES)
                self._shrink(self._limit - share)
                self._room = share
            self._room -= size

    def _shrink(self, goal: int) -> None:
        """Remove what was used least recently until no more than `goal` bytes are left."""
        files = sorted(self._files(), key=lambda file: file.used)
        total = sum(file.size for file in files)
        old = time.time() - UNFINISHED_SECONDS
        for file in files:
            left_behind = file.unfinished and file.used < old
            if left_behind or (total > goal and not file.unfinished):
                _removed(file.path)
                total -= file.size

    def _files(self) -> Iterator[_File]:
        """All files of ours; those that vanish meanwhile are left out."""
        for parent, _, names in os.walk(self._root / "packs"):
            for name in names:
                unfinished = is_unfinished(name)
                if unfinished or parse_entry(name):
                    path = Path(parent, name)
                    with suppress(FileNotFoundError):
                        about = path.stat()
                        yield _File(about.st_mtime, about.st_size, path, unfinished)


def _removed(path: Path) -> bool:
    """Remove a file, and its folder when it was the last one; whether this call did."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    with suppress(OSError):
        path.parent.rmdir()
    return True
