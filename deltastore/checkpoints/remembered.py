"""SHA-256 of files that were not touched since they were last read: a second look is quick."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Self

from deltastore.checkpoints.access import LocalFile
from deltastore.checkpoints.failures import os_errors
from deltastore.checkpoints.reading import FileReader
from deltastore.checkpoints.replacing import replace_file
from deltastore.errors import DeltastoreError
from deltastore.ids import is_digest

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

__all__ = ["RACY_NANOSECONDS", "RememberedHashes"]

RACY_NANOSECONDS = 2 * 10**9
"""A file this young may be written again without any trace: clocks of file systems tick."""

MAX_BYTES = 2**26
VERSION = 1


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What tells whether a file was touched.

    Attributes:
        size: bytes.
        modified: nanoseconds since the epoch; can be set at will.
        changed: the same, of the inode; cannot be set, so that a copied time does not deceive.
        inode: of the file.
    """

    size: int
    modified: int
    changed: int
    inode: int

    @classmethod
    def of(cls, file: Path) -> Self:
        with os_errors(str(file)):
            status = file.stat()
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    @property
    def latest(self) -> int:
        return max(self.modified, self.changed)


@dataclass(frozen=True, slots=True)
class _Hash:
    stamp: _Stamp
    sha256: str


class RememberedHashes:
    """SHA-256 of files by path, read again only when a file was touched meanwhile.

    What is remembered is only believed of files that were two seconds old when they were read, by
    the clock of their file system: of a younger one a later write might leave no trace.

    Args:
        place: the file that keeps them. Disposable: absent or damaged, nothing is remembered;
            where it cannot be written, nothing will be.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._known = _load(place)
        self._learned: dict[str, _Hash] = {}
        self._clock = _clock_of(place.parent)

    def sha256(self, path: str, file: Path) -> str:
        """SHA-256 of a file in hex.

        Args:
            path: that it is remembered by.
            file: where it is; a link is followed.

        Raises:
            InvalidError: it is no regular file, or changed while it was read.
            NotFoundError: there is none.
            AccessDeniedError: it may not be read.
        """
        stamp = _Stamp.of(file)
        known = self._learned.get(path) or self._known.get(path)
        if known is not None and known.stamp == stamp:
            return known.sha256
        with FileReader(LocalFile(file)) as reader:
            sha256 = reader.sha256()
        if stamp.latest + RACY_NANOSECONDS < self._clock and _Stamp.of(file) == stamp:
            self._learned[path] = _Hash(stamp, sha256)
        return sha256

    def save(self, paths: Collection[str]) -> None:
        """Keep what is known of `paths` for the next run, if anything is new."""
        hashes = {
            path: found for path, found in (self._known | self._learned).items() if path in paths
        }
        if hashes != self._known:
            with suppress(DeltastoreError):  # nothing depends on it but time
                replace_file(self._place, _encoded(hashes), durable=False)


def _clock_of(folder: Path) -> int:
    """Now in nanoseconds, as the file system has it; 0, before everything, where none can tell."""
    try:
        with tempfile.TemporaryFile(dir=folder) as probe:
            return os.fstat(probe.fileno()).st_mtime_ns
    except OSError:
        return 0


def _encoded(hashes: dict[str, _Hash]) -> bytes:
    rows = {path: [*astuple(found.stamp), found.sha256] for path, found in hashes.items()}
    return json.dumps({"version": VERSION, "files": rows}).encode()


def _load(place: Path) -> dict[str, _Hash]:
    try:
        with place.open("rb") as file:
            found = json.loads(file.read(MAX_BYTES))
        rows = found["files"] if found["version"] == VERSION else {}
        return {path: _row(row) for path, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _row(row: list[Any]) -> _Hash:
    *numbers, sha256 = row
    if not all(type(number) is int for number in numbers) or not is_digest(sha256):
        msg = "no row of hashes"
        raise ValueError(msg)
    return _Hash(_Stamp(*numbers), sha256)
