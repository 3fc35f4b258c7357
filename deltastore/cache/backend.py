"""A backend that keeps what it fetches from another one.

Only packs are kept: their names are never used twice, so a range of one is the same for ever. The
log, its hint and every "absent" come from the store each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from deltastore.cache.covering import parts
from deltastore.cache.entries import Entry
from deltastore.places.ranges import check_range, coalesce, scatter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from deltastore.cache.covering import Part
    from deltastore.cache.ranges import RangeFolder
    from deltastore.storage.backend import Backend, Capabilities, Traffic

    Found: TypeAlias = list[tuple[Part, bytes | None]]

__all__ = ["CachingBackend"]

IMMUTABLE = "packs/"

OPENED = 4
"""Entries, of up to 16 MiB, that stay in memory after a part of them was read: to read the next
part, all of the file would be verified again."""


class CachingBackend:
    """See `Backend`. Counts what was really read from the store.

    Args:
        backend: of a store that is not local.
        ranges: what was fetched before, by this process or another one.
    """

    def __init__(self, backend: Backend, ranges: RangeFolder) -> None:
        self._backend = backend
        self._ranges = ranges
        self._recent: OrderedDict[tuple[str, Entry], bytes] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where the store is, without any credential."""
        return self._backend.url

    @property
    def traffic(self) -> Traffic:
        """Counters of the store, live; what was kept is not in them."""
        return self._backend.traffic

    def get(self, key: str, *, max_bytes: int) -> bytes:
        """See `Backend.get`; from the store, always."""
        return self._backend.get(key, max_bytes=max_bytes)

    def get_prefix(self, key: str, length: int) -> bytes:
        """See `Backend.get_prefix`."""
        if not key.startswith(IMMUTABLE):
            return self._backend.get_prefix(key, length)
        kept = self._kept_prefix(key, length)
        if kept is not None:
            return kept
        data = self._backend.get_prefix(key, length)
        self._ranges.write(key, Entry(0, len(data), len(data) < length), data)
        return data

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """See `Backend.get_range`."""
        return self.get_ranges(key, [(start, length)])[0]

    def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        """See `Backend.get_ranges`; only what is not kept is fetched, all of it at once."""
        if not key.startswith(IMMUTABLE):
            return self._backend.get_ranges(key, ranges)
        for start, length in ranges:
            check_range(start, length)
        found = [self._kept(key, start, start + length) for start, length in ranges]
        missing = [part for each in found for part, data in each if data is None]
        fetched = iter(self._fetch(key, [(part.start, part.stop - part.start) for part in missing]))
        return [
            b"".join(next(fetched) if data is None else data for _, data in each) for each in found
        ]

    def forget(self, key: str) -> None:
        """Fetch an object anew next time: what is kept of it turned out to be wrong."""
        self._ranges.forget(key)
        with self._lock:
            for opened in [each for each in self._recent if each[0] == key]:
                del self._recent[opened]

    def put_immutable(self, key: str, source: Path | bytes) -> int:
        """See `Backend.put_immutable`."""
        return self._backend.put_immutable(key, source)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """See `Backend.put_if_absent`."""
        return self._backend.put_if_absent(key, data)

    def overwrite(self, key: str, data: bytes) -> None:
        """See `Backend.overwrite`."""
        self._backend.overwrite(key, data)

    def exists(self, key: str) -> bool:
        """See `Backend.exists`; asks the store."""
        return self._backend.exists(key)

    def size(self, key: str) -> int:
        """See `Backend.size`; asks the store."""
        return self._backend.size(key)

    def list(self, prefix: str) -> Iterator[str]:
        """See `Backend.list`."""
        return self._backend.list(prefix)

    def delete_many(self, keys: Iterable[str]) -> None:
        """See `Backend.delete_many`; what is kept of these objects goes as well."""
        gone = list(keys)
        self._backend.delete_many(gone)
        for key in gone:
            self.forget(key)

    def now(self) -> float:
        """See `Backend.now`."""
        return self._backend.now()

    def capabilities(self) -> Capabilities:
        """See `Backend.capabilities`."""
        return self._backend.capabilities()

    def _kept(self, key: str, start: int, stop: int) -> Found:
        """A range in parts, each with its bytes where they are kept."""
        cut = parts(self._ranges.find(key, start, stop), start, stop)
        return [(part, self._content(key, part)) for part in cut]

    def _content(self, key: str, part: Part) -> bytes | None:
        if part.entry is None:
            return None
        if (part.start, part.stop) == (part.entry.start, part.entry.stop):
            return self._ranges.read(key, part.entry)
        data = self._opened(key, part.entry)
        first = part.start - part.entry.start
        return None if data is None else data[first : first + part.stop - part.start]

    def _opened(self, key: str, entry: Entry) -> bytes | None:
        """An entry of which a part is wanted, and then often the next part."""
        with self._lock:
            data = self._recent.get((key, entry))
        data = data or self._ranges.read(key, entry)
        if data is not None:
            with self._lock:
                self._recent[key, entry] = data
                self._recent.move_to_end((key, entry))
                while len(self._recent) > OPENED:
                    self._recent.popitem(last=False)
        return data

    def _kept_prefix(self, key: str, length: int) -> bytes | None:
        """The first bytes of an object, if all of them are kept."""
        entries = self._ranges.find(key, 0, length)
        end = min((entry.stop for entry in entries if entry.at_end), default=length)
        cut = parts(entries, 0, min(end, length))
        if not cut or any(part.entry is None for part in cut):
            return None
        data = [self._content(key, part) for part in cut]
        return None if None in data else b"".join(part for part in data if part is not None)

    def _fetch(self, key: str, missing: Sequence[tuple[int, int]]) -> Sequence[bytes]:
        """Ranges from the store; neighbors that touch are kept as one."""
        if not missing:
            return []
        spans = coalesce(missing, gap=0)
        found = self._backend.get_ranges(key, [(span.start, span.length) for span in spans])
        for span, data in zip(spans, found, strict=True):
            self._ranges.write(key, Entry(span.start, span.start + span.length), data)
        return scatter(spans, found, missing)
