"""Spooling one transaction's packs, one open per class, before anybody sees them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Self

from deltastore.errors import UsageError
from deltastore.storage.blobs import blob_payloads, blob_representation
from deltastore.storage.packing import PackWriter, random_nonce

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from types import TracebackType

    from deltastore.ids import Digest
    from deltastore.storage.packing import SpooledPack
    from deltastore.storage.records import Kind, PackClass, Representation

__all__ = ["MAX_TARGET", "TARGET_BYTES", "PackSpool"]

TARGET_BYTES = 512 << 20
MAX_TARGET = 1 << 30
"""More than the limits of what a meta pack holds together."""


class PackSpool:
    """One transaction's packs, one open per class, each finished when it is large enough.

    For one thread; a context manager that removes every local file it made on the way out.

    Args:
        folder: for temporary files; on a local store's own disk packs are linked, not copied.
        writer: program and version, kept in packs.
        target_bytes: size at which a pack is finished, at most 1 GiB; a thing larger than that is
            cut into several sections.
        nonce: source of nonces, for tests.
    """

    def __init__(
        self,
        folder: Path,
        writer: str,
        *,
        target_bytes: int = TARGET_BYTES,
        nonce: Callable[[], str] = random_nonce,
    ) -> None:
        if not 0 < target_bytes <= MAX_TARGET:
            raise UsageError(f"packs of {target_bytes} bytes; at most {MAX_TARGET}")
        self._folder = folder
        self._writer = writer
        self._target = target_bytes
        self._nonce = nonce
        self._open: dict[PackClass, PackWriter] = {}
        self._finished: list[SpooledPack] = []
        self._taken: list[SpooledPack] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        reason: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def bytes_written(self, pack_class: PackClass) -> int:
        """Bytes spooled so far for that class: finished packs whole, the open one's data."""
        packs = [*self._taken, *self._finished]
        finished = sum(pack.size for pack in packs if pack.pack_class == pack_class)
        writer = self._open.get(pack_class)
        return finished + (writer.size if writer else 0)

    def add(self, pack_class: PackClass, item: Representation, payloads: Iterable[bytes]) -> None:
        """Write one thing, as one section or, when it is larger than the target, several.

        Args:
            pack_class: of the pack it goes to.
            item: what the payloads represent.
            payloads: one per block, in order, taken one at a time.

        Raises:
            UsageError: other payloads than `item` announces.
            NoSpaceError: the disk is full.
        """
        source = iter(payloads)
        step = max(1, self._target * item.blocks // max(1, item.raw_length))
        for first in range(0, max(1, item.blocks), step):
            count = min(step, item.blocks - first)
            writer = self._writer_for(pack_class, item, count)
            taken = islice(source, count)
            writer.add(item, taken, first_block=first, block_count=count)
            if writer.size >= self._target:
                self._roll(pack_class)
        if next(source, None) is not None:
            raise UsageError(f"{item.digest}: more than {item.blocks} payloads")

    def add_blob(self, pack_class: PackClass, kind: Kind, digest: Digest, content: bytes) -> None:
        """Write one document or small file that is in memory, as `blob/1`."""
        item = blob_representation(kind, digest, len(content))
        self.add(pack_class, item, blob_payloads(content))

    def _writer_for(self, pack_class: PackClass, item: Representation, count: int) -> PackWriter:
        writer = self._open.get(pack_class)
        if writer and not writer.fits(item, count):
            self._roll(pack_class)
            writer = None
        if writer is None:
            writer = PackWriter(pack_class, self._folder, self._writer, nonce=self._nonce())
            self._open[pack_class] = writer
        return writer

    def _roll(self, pack_class: PackClass) -> None:
        self._finished.append(self._open.pop(pack_class).finish())

    def take(self) -> tuple[SpooledPack, ...]:
        """Packs finished since the last call, so that they can be published early.

        Publishing one removes its file; temporary disk use stays near one pack per class.
        """
        packs = tuple(self._finished)
        self._taken += packs
        self._finished.clear()
        return packs

    def finish(self) -> tuple[SpooledPack, ...]:
        """Finish the open packs; all that `take` has not yet given out."""
        for pack_class in list(self._open):
            self._roll(pack_class)
        return self.take()

    def discard(self) -> None:
        """Remove every local file this spool made and that still exists."""
        for writer in self._open.values():
            writer.discard()
        for pack in (*self._finished, *self._taken):
            pack.discard()
        self._open.clear()
        self._finished.clear()
