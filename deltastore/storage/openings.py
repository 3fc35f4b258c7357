"""What a process remembers of packs it has opened: their indexes, and small ones whole."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltastore.storage.headers import PackHead
    from deltastore.storage.records import PackId, Placement

__all__ = ["Openings", "PackContents"]

CACHED_RECORDS = 1 << 16
CACHED_BYTES = 8 << 20
"""Of the beginnings of packs. Those read last are those read next: header, manifest, locator."""


@dataclass(frozen=True, slots=True)
class PackContents:
    """What a pack's own header and index say.

    Attributes:
        pack: its id.
        head: class, writer, sizes.
        placements: its sections, in order.
    """

    pack: PackId
    head: PackHead
    placements: tuple[Placement, ...]


class Openings:
    """A bounded number of indexes, and of bytes that came with them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._contents: OrderedDict[PackId, PackContents] = OrderedDict()
        self._records = 0
        self._beginnings: OrderedDict[PackId, bytes] = OrderedDict()
        self._bytes = 0

    def contents(self, pack: PackId) -> PackContents | None:
        """Header and index of a pack, if they are remembered."""
        with self._lock:
            if pack in self._contents:
                self._contents.move_to_end(pack)
            return self._contents.get(pack)

    def beginning(self, pack: PackId) -> bytes:
        """The first bytes of a pack, as many as are remembered."""
        with self._lock:
            if pack in self._beginnings:
                self._beginnings.move_to_end(pack)
            return self._beginnings.get(pack, b"")

    def keep(self, contents: PackContents, beginning: bytes = b"") -> None:
        """Remember an index, and the pack's first bytes if sections are among them."""
        with self._lock:
            if contents.pack not in self._contents:
                self._contents[contents.pack] = contents
                self._records += len(contents.placements)
            while self._records > CACHED_RECORDS and len(self._contents) > 1:
                _, oldest = self._contents.popitem(last=False)
                self._records -= len(oldest.placements)
            if len(beginning) > contents.head.data_start:
                self._bytes += len(beginning) - len(self._beginnings.pop(contents.pack, b""))
                self._beginnings[contents.pack] = beginning
            while self._bytes > CACHED_BYTES:
                _, dropped = self._beginnings.popitem(last=False)
                self._bytes -= len(dropped)

    def forget(self, pack: PackId) -> None:
        """Drop the bytes of a pack."""
        with self._lock:
            self._bytes -= len(self._beginnings.pop(pack, b""))
