"""Reading the log object by object: the tip by probing, stretches in parallel, never by listing."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from deltastore.errors import AccessDeniedError, CorruptError, MissingObjectError, NewerFormatError
from deltastore.history.entries import log_key
from deltastore.history.entry_decoding import decode_entry, parse_head
from deltastore.history.entry_encoding import MAX_ENTRY_BYTES
from deltastore.history.hints import HINT_KEY, MAX_HINT_BYTES, Hint, decode_hint, proven
from deltastore.history.spilling import read_spilled
from deltastore.ids import bytes_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from deltastore.history.entries import Entry, Spilled
    from deltastore.ids import Digest
    from deltastore.storage.backend import Backend
    from deltastore.storage.packs import PackReader

__all__ = ["LogReader", "check_needs", "head_hash", "peek_needs"]

KNOWN_NEEDS: frozenset[str] = frozenset()
"""Flags this version understands; format 1 defines none."""

BATCH = 64
THREADS = 16

_LOGGER = logging.getLogger(__name__)


class LogReader:
    """Entries of one store's log. Thread-safe.

    Args:
        backend: where the log is.
        packs: reads lists that entries keep elsewhere.
    """

    def __init__(self, backend: Backend, packs: PackReader) -> None:
        self._backend = backend
        self._packs = packs
        self._readable = False

    def fetch(self, v: int) -> bytes | None:
        """The stored entry `v`, or None when there is none (yet).

        Without the right to list, some stores answer "denied" for an absent object: once an entry
        could be read, that is what a denial of the next one is taken for.
        """
        try:
            data = self._backend.get(log_key(v), max_bytes=MAX_ENTRY_BYTES)
        except MissingObjectError:
            return None
        except AccessDeniedError:
            if not self._readable:
                raise
            _LOGGER.warning("%s: denied; taken for absent. Grant listing", log_key(v))
            return None
        self._readable = True
        return data

    def fetch_all(self, positions: Sequence[int]) -> list[bytes | None]:
        """Several entries, in parallel where requests take time."""
        if self._backend.traffic.requests is None or len(positions) < 2:
            return [self.fetch(v) for v in positions]
        with ThreadPoolExecutor(min(THREADS, len(positions))) as threads:
            return list(threads.map(self.fetch, positions))

    def decode(self, v: int, data: bytes) -> Entry:
        """The entry in stored bytes, lists that are kept elsewhere included."""
        return decode_entry(data, v=v, read_list=self.read_list)

    def read(self, v: int) -> Entry:
        """Entry `v`, which has to be there.

        Raises:
            CorruptError: it is not, although later entries are, or it is damaged.
        """
        return self._present(v, self.fetch(v))

    def stretch(
        self, first: int, last: int, *, known: Mapping[int, bytes] | None = None
    ) -> Iterator[Entry]:
        """Entries `first` to `last`, both included, a batch at a time.

        Args:
            first: position.
            last: position.
            known: stored entries that need not be read, by position.

        Raises:
            CorruptError: one is missing or damaged.
        """
        held = known or {}
        for start in range(first, last + 1, BATCH):
            positions = range(start, min(start + BATCH, last + 1))
            missing = [v for v in positions if v not in held]
            found = dict(zip(missing, self.fetch_all(missing), strict=True))
            for v in positions:
                yield self._present(v, held[v] if v in held else found[v])

    def _present(self, v: int, data: bytes | None) -> Entry:
        if data is None:
            raise CorruptError(
                f"{self._backend.url}: log entry {v} is missing, and later ones are there",
                hint="restore that object; a clone of this store has the same one",
            )
        return self.decode(v, data)

    def read_list(self, spilled: Spilled) -> list[Any]:
        """A list that an entry keeps in a pack."""
        return read_spilled(self._packs, spilled)

    def hint(self) -> Hint:
        """What the hint is good for; it may be stale, torn or missing."""
        try:
            v, copies = decode_hint(self._backend.get(HINT_KEY, max_bytes=MAX_HINT_BYTES))
        except (MissingObjectError, CorruptError, AccessDeniedError):
            return Hint()
        data = self.fetch(v) if v else None
        return Hint() if data is None else Hint(v, proven(v, data, copies))

    def find_tip(self, low: int) -> int:
        """The newest entry, given one that is there.

        Probes low+1, then low+2, +4, ... +128 in one round, and so on; then bisects.

        Raises:
            CorruptError: an entry is missing although a later one is there.
        """
        if self.fetch(low + 1) is None:
            return low
        start, present = low, low + 1
        for exponent in range(1, 53, 7):
            positions = [start + 2 ** (exponent + i) for i in range(7)]
            found = [data is not None for data in self.fetch_all(positions)]
            for position, there in zip(positions, found, strict=True):
                if not there and self._absent(position, positions, found):
                    return self._bisect(present, position)
                present = position
        raise CorruptError(f"{self._backend.url}: the log has no end")

    def _absent(self, position: int, positions: list[int], found: list[bool]) -> bool:
        """Whether an entry not found is absent; it may also have been written meanwhile."""
        later = [v for v, there in zip(positions, found, strict=True) if there and v > position]
        if not later:
            return True
        if self.fetch(position) is None:
            raise CorruptError(
                f"{self._backend.url}: log entry {position} is missing, and {later[0]} is there",
                hint="restore that object; a clone of this store has the same one",
            )
        return False

    def _bisect(self, present: int, absent: int) -> int:
        while absent - present > 1:
            middle = (present + absent) // 2
            if self.fetch(middle) is None:
                absent = middle
            else:
                present = middle
        return present


def head_hash(data: bytes) -> Digest:
    """Hash of the head of a stored entry."""
    return bytes_digest(data.partition(b"\n")[0])


def check_needs(needs: Iterable[str], *, writing: bool = False) -> None:
    """Refuse a store that asks for what this version does not know.

    Args:
        needs: flags of the newest head.
        writing: whether flags that forbid writing count as well.

    Raises:
        NewerFormatError: an unknown flag.
    """
    kinds = ("r:", "w:") if writing else ("r:",)
    unknown = [need for need in needs if need.startswith(kinds) and need not in KNOWN_NEEDS]
    if unknown:
        raise NewerFormatError(
            f"the store needs a newer deltastore ({', '.join(unknown)})", hint="upgrade deltastore"
        )


def peek_needs(data: bytes, v: int) -> tuple[str, ...]:
    """The flags in a stored entry, before anything else of it is looked at."""
    return parse_head(data.partition(b"\n")[0], f"log entry {v}").needs
