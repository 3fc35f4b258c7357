"""When one process reads and makes checkpoints of the log; a failure costs time, nothing else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from deltastore.errors import IntegrityError, StorageError, UnsupportedError
from deltastore.history.log_checkpoints import build, due, load_root, load_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deltastore.history.checkpoint_roots import Root
    from deltastore.history.entries import CheckpointRef, Entry
    from deltastore.history.log_reading import LogReader
    from deltastore.history.state import LogState
    from deltastore.storage.backend import Backend
    from deltastore.storage.packs import PackReader
    from deltastore.storage.records import PackId

__all__ = ["Checkpointer"]

MOST_ENTRIES = 4096

_LOGGER = logging.getLogger(__name__)


class Checkpointer:
    """Checkpoints of one store's log, and the entries since the newest one. Not thread-safe.

    Args:
        backend: of the store.
        packs: of the store.
        reader: reads entries that are not remembered.
        writer: program and version.
    """

    def __init__(self, backend: Backend, packs: PackReader, reader: LogReader, writer: str) -> None:
        self._backend = backend
        self._packs = packs
        self._reader = reader
        self._writer = writer
        self._recent: dict[int, Entry] = {}
        self._root: tuple[CheckpointRef, Root] | None = None
        self._made: CheckpointRef | None = None

    def remembering(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """The same entries; the newest 4,096 are kept for the next checkpoint and for reflogs."""
        for entry in entries:
            self._recent[entry.v] = entry
            if len(self._recent) > MOST_ENTRIES:
                del self._recent[next(iter(self._recent))]
            yield entry

    def forget(self, ckpt: CheckpointRef | None) -> None:
        """Drop entries that a checkpoint covers."""
        if ckpt is not None:
            self._recent = {v: entry for v, entry in self._recent.items() if v > ckpt.v}

    def recent(self) -> tuple[Entry, ...]:
        """The entries that are remembered, in no order that counts."""
        return tuple(dict(self._recent).values())

    def entries(self, first: int, last: int) -> Iterator[Entry]:
        """Entries `first` to `last`, both included, from memory where they are there."""
        recent = dict(self._recent)
        v = first
        while v <= last:
            while v <= last and v in recent:
                yield recent[v]
                v += 1
            gap = next((u for u in range(v, last + 1) if u in recent), last + 1)
            yield from self._reader.stretch(v, gap - 1)
            v = gap

    def root(self, ckpt: CheckpointRef | None) -> Root | None:
        """The root of a checkpoint; None if it cannot be read, which is logged."""
        if ckpt is None:
            return None
        if self._root is None or self._root[0] != ckpt:
            try:
                self._root = (ckpt, load_root(self._packs, ckpt))
            except IntegrityError as reason:
                _LOGGER.warning("the checkpoint of log entry %d is ignored: %s", ckpt.v, reason)
                return None
        return self._root[1]

    def load(self, ckpt: CheckpointRef, store_id: str) -> LogState | None:
        """The state at the end of a checkpoint; None if it cannot be read, which is logged."""
        root = self.root(ckpt)
        if root is None:
            return None
        parallel = self._backend.traffic.requests is not None
        try:
            return load_state(self._packs, root, store_id, parallel=parallel)
        except IntegrityError as reason:
            _LOGGER.warning("the checkpoint of log entry %d is ignored: %s", ckpt.v, reason)
            return None

    def next(self, state: LogState) -> tuple[CheckpointRef | None, tuple[PackId, ...]]:
        """What the entry after `state` is to name, and the packs it has to add for that."""
        end = due(state.v, -1 if state.ckpt is None else state.ckpt.v)
        if end is None:
            return state.ckpt, ()
        try:
            made = self._make(state, end)
        except (StorageError, IntegrityError, UnsupportedError) as reason:
            _LOGGER.warning("no checkpoint of log entry %d was made: %s", end, reason)
            return state.ckpt, ()
        return made, (made.pack,)

    def _make(self, state: LogState, end: int) -> CheckpointRef:
        """A new checkpoint, or the one made for a race that was lost."""
        made = self._made
        if made is None or made.v != end or made.pack in state.condemned:
            previous = self.root(state.ckpt)
            made = build(
                self._backend, self._packs, self.entries, previous, end, writer=self._writer
            )
            self._made = made
        return made
