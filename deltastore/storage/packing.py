"""Writing one pack to a local file, section by section.

Only directories and index records are held in memory, whatever the size of the weights.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

from deltastore.errors import UsageError
from deltastore.ids import bytes_digest
from deltastore.places.failures import local_failures
from deltastore.storage.durable import append_copy
from deltastore.storage.headers import HEAD_BYTES, MAX_STORED_INDEX, PackHead, encode_head
from deltastore.storage.index import encode_index, encode_record
from deltastore.storage.limits import (
    DIRECTORY_ENTRY,
    MAX_INDEX,
    MAX_PACK,
    MAX_RECORDS,
    align,
    largest_payload,
)
from deltastore.storage.records import PackId, Placement, Record
from deltastore.storage.sections import encode_directory_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from deltastore.storage.records import PackClass, Representation

__all__ = ["PackWriter", "SpooledPack", "random_nonce"]

_IN_MEMORY = 8 << 20
_MOST_DATA = MAX_PACK - HEAD_BYTES - MAX_STORED_INDEX


def random_nonce() -> str:
    """32 random hex digits: what makes a pack's name unique."""
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class SpooledPack:
    """A finished pack in a local file, not yet in any store.

    Attributes:
        path: the file, byte for byte what the store will hold.
        pack: its id.
        pack_class: one of the five classes.
        size: bytes.
        placements: its sections, in order.
    """

    path: Path
    pack: PackId
    pack_class: PackClass
    size: int
    placements: tuple[Placement, ...]

    def discard(self) -> None:
        """Remove the local file."""
        self.path.unlink(missing_ok=True)


class PackWriter:
    """Writes one pack, section by section; for one thread. Any failure removes what was written.

    Args:
        pack_class: one of the five classes.
        folder: where the file will be; made if absent.
        writer: program and version, kept in the pack.
        nonce: 32 hex digits; random unless a test wants the same bytes again.
    """

    def __init__(
        self, pack_class: PackClass, folder: Path, writer: str, *, nonce: str | None = None
    ) -> None:
        self.pack_class = pack_class
        self._folder = folder
        self._writer = writer
        self._nonce = nonce or random_nonce()
        self._records: list[Record] = []
        self._index_bytes = 0
        self._end = 0
        with local_failures(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            # unnamed: a killed process leaves nothing behind
            self._data = SpooledTemporaryFile(max_size=_IN_MEMORY, dir=str(folder))  # noqa: SIM115 - closed by discard

    @property
    def size(self) -> int:
        """Bytes of data so far."""
        return self._end

    def fits(self, item: Representation, block_count: int) -> bool:
        """Whether a section of that many blocks is within every limit, however badly it packs."""
        worst = block_count * (largest_payload(item) + DIRECTORY_ENTRY)
        return (
            align(self._end) + worst <= _MOST_DATA
            and len(self._records) < MAX_RECORDS
            and self._index_bytes + _largest_record(item) <= MAX_INDEX - HEAD_BYTES
        )

    def add(
        self,
        item: Representation,
        payloads: Iterable[bytes],
        *,
        first_block: int = 0,
        block_count: int | None = None,
    ) -> Record:
        """Write one section.

        Args:
            item: what the payloads represent.
            payloads: of consecutive blocks, taken one at a time.
            first_block: number of the first of them.
            block_count: how many there are; all from `first_block` on when None.

        Raises:
            UsageError: other payloads than announced, an impossible record, or a limit exceeded.
            NoSpaceError: the disk is full.
        """
        count = item.blocks - first_block if block_count is None else block_count
        try:
            record = self._write_section(item, payloads, first_block, count)
            self._index_bytes += len(encode_record(record))
        except BaseException:
            self.discard()
            raise
        self._records.append(record)
        return record

    def _write_section(
        self, item: Representation, payloads: Iterable[bytes], first_block: int, count: int
    ) -> Record:
        start = align(self._end)
        if not self.fits(item, 0) or not 0 <= count <= item.blocks:
            raise UsageError(f"{item.digest}: no room for a section of {count} blocks")
        self._write(self._end, bytes(start - self._end + DIRECTORY_ENTRY * count))
        directory = b"".join(self._write_payloads(item, payloads))
        if len(directory) != DIRECTORY_ENTRY * count:
            raise UsageError(
                f"{item.digest}: {len(directory) // DIRECTORY_ENTRY} payloads for {count} blocks"
            )
        self._end = self._data.tell()
        self._write(start, directory)
        return Record(
            kind=item.kind,
            digest=item.digest,
            dtype=item.dtype,
            shape=item.shape,
            codec=item.codec,
            parameters=item.parameters,
            inputs=item.inputs,
            raw_length=item.raw_length,
            blocks=item.blocks,
            first_block=first_block,
            block_count=count,
            offset=start,
            length=self._end - start,
            directory_hash=bytes_digest(directory),
        )

    def _write_payloads(self, item: Representation, payloads: Iterable[bytes]) -> Iterator[bytes]:
        limit = largest_payload(item)
        for payload in payloads:
            at = self._data.tell()
            if len(payload) > limit or at + len(payload) > _MOST_DATA:
                raise UsageError(f"{item.digest}: a payload of {len(payload)} bytes is too large")
            self._write(at, payload)
            yield encode_directory_entry(payload)

    def _write(self, at: int, data: bytes) -> None:
        """Only this meets a full disk: what a source of payloads raises stays as it is."""
        with local_failures(str(self._folder)):
            self._data.seek(at)
            self._data.write(data)

    def finish(self) -> SpooledPack:
        """Write the pack to a file named after it; nothing can be added any more."""
        try:
            return self._assemble()
        finally:
            self.discard()

    def _assemble(self) -> SpooledPack:
        index = encode_index(self._records)
        head = PackHead(
            pack_class=self.pack_class,
            nonce=self._nonce,
            index_hash=bytes_digest(index),
            index_length=len(index),
            data_length=self._end,
            writer=self._writer,
        )
        first = encode_head(head)
        pack = PackId(bytes_digest(first))
        path = self._folder / f"{pack}.safetensors"
        self._copy_after(first + index, path)
        placements = tuple(Placement(pack, head.data_start, record) for record in self._records)
        return SpooledPack(path, pack, self.pack_class, head.size, placements)

    def _copy_after(self, start: bytes, path: Path) -> None:
        """The index comes first and is known last, so the data is copied once, within the disk."""
        try:
            with local_failures(str(self._folder)), path.open("xb") as file:
                file.write(start)
                if self._end > _IN_MEMORY:
                    append_copy(self._data, self._end, file)
                else:
                    self._data.seek(0)
                    file.write(self._data.read())
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    def discard(self) -> None:
        """Give up; removes what was spooled."""
        self._data.close()


def _largest_record(item: Representation) -> int:
    """Upper bound of a record's bytes, without encoding it."""
    fixed = 256
    return fixed + 8 * len(item.shape) + len(item.parameters) + 65 * len(item.inputs)
