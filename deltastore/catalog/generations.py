"""The files of a catalog: an immutable base and a small tail, replaced whole, never written twice.

Readers open what is there and are never waited for; one process at a time writes, under a lock that
dies with it, to a file of another name. Whatever is unusable is put aside and made again.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from deltastore.catalog.schema import SCHEMA, STORAGE
from deltastore.ids import bytes_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["Candidate", "Generations", "url_hash"]

KEPT_TAILS = 2
"""The newest and the one before, which somebody may just be opening."""

KEPT_BAD = 2
PAUSE_SECONDS = 0.05
DAY_SECONDS = 86_400.0

Role = Literal["base", "tail"]

_NAME = re.compile(rf"(base|tail)-s{SCHEMA}-d{STORAGE}-(\d{{20}})\.duckdb")


def url_hash(url: str) -> str:
    """16 hex digits: copies of one store share its id and must not share a catalog."""
    return bytes_digest(url.encode())[:16]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be the newest.

    Attributes:
        v: the log entry it goes up to, by its name.
        role: of the file; a base can be used without a tail.
        path: the file.
    """

    v: int
    role: Role
    path: Path


class Generations:
    """The folder of one store's catalog. Every method may find it changed by others.

    Args:
        folder: of all catalogs.
        store_id: 32 hex digits.
        url: of the store.
    """

    def __init__(self, folder: Path, store_id: str, url: str) -> None:
        self.folder = folder / f"{store_id}-{url_hash(url)}"

    def path(self, role: Role, v: int) -> Path:
        """Where a base or tail up to entry `v` is."""
        return self.folder / f"{role}-s{SCHEMA}-d{STORAGE}-{v:020d}.duckdb"

    def candidates(self) -> list[Candidate]:
        """What there is, newest first; a base before a tail of the same entry."""
        found = []
        with suppress(OSError):
            for path in self.folder.iterdir():
                match = _NAME.fullmatch(path.name)
                if match:
                    role: Role = "base" if match[1] == "base" else "tail"
                    found.append(Candidate(int(match[2]), role, path))
        return sorted(found, key=lambda each: (-each.v, each.role))

    def quarantine(self, paths: Iterable[Path]) -> None:
        """Put files aside for whoever wants to know; where that is impossible they stay."""
        for path in paths:
            with suppress(OSError):
                path.replace(path.with_name(f"{path.name}.bad"))

    @contextmanager
    def writing(self, wait_seconds: float = 0.0) -> Iterator[bool]:
        """Be the one who writes, until the end of the block.

        Args:
            wait_seconds: how long to go on trying.

        Yields:
            Whether this process may write; False as well where the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            yield False
            return
        try:
            yield _locked(descriptor, time.monotonic() + wait_seconds)
        finally:
            os.close(descriptor)

    def temporary(self) -> Path:
        """A name for a file in the making."""
        return self.folder / f"tmp-{os.getpid()}-{secrets.token_hex(8)}.duckdb"

    def spill(self) -> Path | None:
        """A name for a folder of one connection's overflow; None where nothing can be written.

        DuckDB makes it when it needs it, and removes all that is in it at the end.
        """
        writable = self.folder.is_dir() and os.access(self.folder, os.W_OK)
        return self.folder / f"spill-{secrets.token_hex(8)}" if writable else None

    def publish(self, made: Path, role: Role, v: int) -> Path:
        """Give a finished file its name, durably; for the holder of the lock.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        descriptor = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        path = self.path(role, v)
        made.replace(path)
        return path

    def clean(self) -> None:
        """Remove what nobody will open any more; for the holder of the lock."""
        found = self.candidates()
        bases = [each for each in found if each.role == "base"]
        tails = [each for each in found if each.role == "tail"]
        newest = bases[0].v if bases else -1
        old = [each for i, each in enumerate(tails) if i >= KEPT_TAILS or each.v <= newest]
        _remove(each.path for each in (*bases[1:], *old))
        _remove(self.folder.glob("tmp-*"))
        self._remove_spills()
        bad = sorted(self.folder.glob("*.bad"), key=lambda path: path.name, reverse=True)
        _remove(bad[KEPT_BAD:])

    def _remove_spills(self) -> None:
        """Of processes that were killed: nobody spills for a day."""
        for path in self.folder.glob("spill-*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > DAY_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)


def _locked(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(PAUSE_SECONDS)
        except OSError:
            return False  # a file system without locks: nobody writes there
        else:
            return True


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
