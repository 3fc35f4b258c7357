"""The catalog this process has open: brought up to date, shared by files, recovered from damage."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from deltastore.catalog.building import Builder
from deltastore.catalog.connecting import UNUSABLE, lock_down
from deltastore.catalog.extending import missing
from deltastore.catalog.reading import StoreReader
from deltastore.errors import DeltastoreError, IntegrityError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from deltastore.catalog.connecting import Meta
    from deltastore.catalog.opening import Opened, Opener
    from deltastore.catalog.sandbox import UnusableFilesError
    from deltastore.history.log import Log
    from deltastore.history.objects import HistoryReader

__all__ = ["MAX_TAIL_BYTES", "MAX_TAIL_ENTRIES", "WITHIN_COMMIT", "Keeper"]

MAX_TAIL_BYTES = 32 << 20
MAX_TAIL_ENTRIES = 4096
"""What a tail may grow to before a new base is made of base and tail."""

WITHIN_COMMIT = 256
"""Packs that a commit is ready to read so that it may reuse more."""

WAIT_SECONDS = 60.0
"""How long an explicit rebuild waits for another process that writes."""

T = TypeVar("T")

logger = logging.getLogger("deltastore.catalog")


class Keeper:
    """Keeps one open catalog in step with one store; for one thread at a time.

    Whatever is wrong with files leads to others being made, at worst in memory: the only errors are
    those of the store.

    Args:
        opener: of the store's catalogs.
    """

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._source: tuple[Log, HistoryReader] | None = None
        self.opened: Opened | None = None

    def sync(self, log: Log, history: HistoryReader, *, within_commit: bool) -> bool:
        """Open or extend; as `Catalog.sync`."""
        self._source = (log, history)
        self._follow(log)
        if self.opened is not None and _is_current(self.opened, log):
            return True
        found = self._newest(log)
        since = -1 if found is None else found.meta.v
        if since < log.state.v:
            if within_commit and missing(log.state, since) > WITHIN_COMMIT:
                self.use(found or self.opened)
                return False
            found = self._extended(found)
        self.use(found)
        if not within_commit:
            self._compact_if_due(log)
        return True

    def rebuild(self, log: Log, history: HistoryReader) -> None:
        """Make everything anew from the store; as `Catalog.rebuild`."""
        self._source = (log, history)
        with self._opener.generations.writing(WAIT_SECONDS) as mine:
            log.refresh()
            made = self._published(None) if mine else None
            self.use(made or self._builder().in_memory(None))

    def recover(self, reason: Exception) -> None:
        """Put the files aside that gave wrong answers, or none, and make others."""
        log, history = self.source
        damaged = self.opened
        self.use(None)
        self._put_aside(damaged, reason)
        self.sync(log, history, within_commit=False)

    def look_again(self, reason: UnusableFilesError) -> None:
        """Another process could not read the files in use: open or make others."""
        if not reason.gone:
            self.recover(reason)
            return
        log, history = self.source
        self.use(None)
        self.sync(log, history, within_commit=False)

    def unlocked(self) -> Opened:
        """A second catalog up to the same entry, whose connection may reach files.

        Raises:
            UsageError: there was no `sync` yet.
        """
        builder = self._builder()
        found = self._newest(self._log, reuse=False)
        if found is None or found.meta.v < builder.state.v:
            return builder.in_memory(found)
        return found

    def use(self, opened: Opened | None) -> None:
        """Answer from that one from now on."""
        before = self.opened
        self.opened = opened
        if before is not None and (opened is None or opened.connection is not before.connection):
            before.connection.close()
        if opened is not None and (before is None or opened.connection is not before.connection):
            lock_down(opened.connection)

    @property
    def _log(self) -> Log:
        return self.source[0]

    @property
    def source(self) -> tuple[Log, HistoryReader]:
        """The store that was looked at last.

        Raises:
            UsageError: there was no `sync` yet.
        """
        if self._source is None:
            raise UsageError("the catalog was never brought up to date")
        return self._source

    def _builder(self) -> Builder:
        log, history = self.source
        return Builder(self._opener, StoreReader(log.packs, history), log.state)

    def _follow(self, log: Log) -> None:
        """A log that was opened later may know less than the catalog in use."""
        if self.opened is not None and not _is_history(log, self.opened.meta):
            self.use(None)

    def _newest(self, log: Log, *, reuse: bool = True) -> Opened | None:
        """The newest usable pair of files; the one in use if it is that one."""
        candidates = self._opener.generations.candidates()
        newest = candidates[0].path if candidates else None
        if reuse and self.opened and newest is not None and self.opened.newest == newest:
            return self.opened
        return self._opener.newest(lambda meta: _is_history(log, meta))

    def _extended(self, found: Opened | None) -> Opened:
        """A catalog up to the log's state: in files if this process may write them."""
        log = self._log
        with self._opener.generations.writing() as mine:
            if mine:
                found = self._newest(log)
                if found is not None and found.meta.v >= log.state.v:
                    return found
                made = self._published(found)
                if made is not None and made.meta.v >= log.state.v:
                    return made
        return self._in_memory(found)

    def _in_memory(self, found: Opened | None) -> Opened:
        builder, known = self._builder(), self.opened
        try:
            if known is not None and known.tail is None and _reaches(known, found):
                return builder.extended(known)
            return builder.in_memory(found)
        except UNUSABLE as reason:
            if isinstance(reason, DeltastoreError):
                raise
            self._put_aside(found, reason)
        return builder.in_memory(None)

    def _published(self, found: Opened | None) -> Opened | None:
        """A catalog up to the log's state, published; None if that cannot be."""
        builder = self._builder()
        if found is not None:
            return self._tried(lambda: builder.publish_tail(found))
        path = self._tried(builder.publish_base)
        return None if path is None else self._newest(self._log, reuse=False)

    def _tried(self, publish: Callable[[], T]) -> T | None:
        """What was published; None if that failed. For the holder of the lock."""
        try:
            made = publish()
        except UNUSABLE as reason:
            if isinstance(reason, DeltastoreError):
                raise
            logger.info("catalog: nothing written: %s", reason)
            return None
        self._opener.generations.clean()
        return made

    def _compact_if_due(self, log: Log) -> None:
        if self.opened is None or not _is_due(self.opened):
            return
        with self._opener.generations.writing() as mine:
            newest = self._newest(log) if mine else None
            if newest is None or not _is_due(newest):
                return
            builder = self._builder()
            if self._tried(lambda: builder.publish_compacted(newest)):
                self.use(self._newest(log) or self.opened)

    def _put_aside(self, opened: Opened | None, reason: Exception) -> None:
        logger.info("catalog: damaged, made again: %s", reason)
        if opened is not None:
            self._opener.generations.quarantine(opened.files)


def _reaches(known: Opened, found: Opened | None) -> bool:
    return found is None or known.meta.v >= found.meta.v


def _is_current(opened: Opened, log: Log) -> bool:
    return (opened.meta.v, opened.meta.head) == (log.state.v, log.state.head_hash)


def _is_due(opened: Opened) -> bool:
    """Whether the tail, a file, has grown beyond its limits."""
    if opened.tail is None:
        return False
    if opened.meta.v - opened.meta.base_v > MAX_TAIL_ENTRIES:
        return True
    try:
        return opened.tail.stat().st_size > MAX_TAIL_BYTES
    except OSError:
        return False  # replaced meanwhile


def _is_history(log: Log, meta: Meta) -> bool:
    """Whether the entry and head that a file names are those of the log."""
    if not meta.head:
        return False
    if meta.v > log.state.v:
        log.refresh()
    if meta.v >= log.state.v:
        return (meta.v, meta.head) == (log.state.v, log.state.head_hash)
    try:
        return log.entry(meta.v).hash == meta.head
    except IntegrityError:
        return False
