"""Sections: a directory and the payloads it vouches for (format-v1 section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from blake3 import blake3

from deltastore.errors import CorruptError, MissingObjectError
from deltastore.ids import bytes_digest
from deltastore.storage.limits import DIRECTORY_ENTRY, largest_payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from deltastore.storage.records import Placement, Record

__all__ = [
    "Directory",
    "cover",
    "decode_directory",
    "directory_length",
    "encode_directory_entry",
]

_CHECK = 16


def directory_length(record: Record) -> int:
    """Bytes of the section's directory."""
    return DIRECTORY_ENTRY * record.block_count


def encode_directory_entry(payload: bytes) -> bytes:
    """Length and check of one payload."""
    return len(payload).to_bytes(4, "little") + _check(payload)


def _check(payload: bytes) -> bytes:
    return blake3(payload).digest(_CHECK)


@dataclass(frozen=True, slots=True)
class Directory:
    """Where a section's payloads are, and what proves them.

    Attributes:
        first_block: number, within the whole thing, of the section's first block.
        bounds: offsets within the section, in bytes; one more than there are blocks.
        checks: first 16 bytes of each payload's hash.
    """

    first_block: int
    bounds: tuple[int, ...]
    checks: tuple[bytes, ...]

    @property
    def blocks(self) -> range:
        """The numbers of the blocks in this section."""
        return range(self.first_block, self.first_block + len(self.checks))

    def pieces(self, blocks: range, limit: int) -> Iterator[range]:
        """Cut consecutive blocks into runs of at most `limit` bytes, each at least one block."""
        first = blocks.start
        for block in blocks:
            if self._bound(block + 1) - self._bound(first) > limit and block > first:
                yield range(first, block)
                first = block
        if first < blocks.stop:
            yield range(first, blocks.stop)

    def span(self, blocks: range) -> tuple[int, int]:
        """Start and length, in bytes within the section, of consecutive blocks."""
        start = self._bound(blocks.start)
        return start, self._bound(blocks.stop) - start

    def verified(self, data: bytes, blocks: range, *, what: str) -> Iterator[bytes]:
        """The payloads in `data`, which is exactly the span of `blocks`.

        Raises:
            CorruptError: a payload is not what the directory promises.
        """
        origin = self._bound(blocks.start)
        for block in blocks:
            payload = data[self._bound(block) - origin : self._bound(block + 1) - origin]
            if _check(payload) != self.checks[block - self.first_block]:
                raise CorruptError(f"{what}: block {block} is damaged")
            yield payload

    def _bound(self, block: int) -> int:
        return self.bounds[block - self.first_block]


def decode_directory(data: bytes, record: Record, *, what: str) -> Directory:
    """The directory in the first bytes of a section.

    Raises:
        CorruptError: its hash is not the record's, or its lengths do not add up.
    """
    size = directory_length(record)
    if len(data) != size or bytes_digest(data) != record.directory_hash:
        raise CorruptError(f"{what}: its directory is damaged")
    entries = range(0, size, DIRECTORY_ENTRY)
    lengths = [int.from_bytes(data[at : at + 4], "little") for at in entries]
    if max(lengths, default=0) > largest_payload(record):
        raise CorruptError(f"{what}: a payload of {max(lengths)} bytes is larger than any may be")
    bounds = tuple(accumulate(lengths, initial=size))
    if bounds[-1] != record.length:
        raise CorruptError(f"{what}: payloads end at {bounds[-1]}, not at {record.length}")
    checks = tuple(data[at + 4 : at + DIRECTORY_ENTRY] for at in entries)
    return Directory(record.first_block, bounds, checks)


def cover(placements: Iterable[Placement]) -> tuple[tuple[Placement, range], ...]:
    """Which blocks to take from which section so that each block comes once, in order.

    Args:
        placements: sections of one representation; they may overlap.

    Raises:
        MissingObjectError: some block is in none of them.
    """
    ordered = sorted(
        placements, key=lambda item: (item.record.first_block, -item.record.block_count)
    )
    if not ordered:
        raise MissingObjectError("no section is known for what was asked for")
    return tuple(_take(ordered))


def _take(ordered: Sequence[Placement]) -> Iterator[tuple[Placement, range]]:
    record = ordered[0].record
    reached = 0
    for placement in ordered:
        first, count = placement.record.first_block, placement.record.block_count
        if first > reached:
            break
        if first + count > reached:
            yield placement, range(reached, first + count)
            reached = first + count
    if reached < record.blocks:
        raise MissingObjectError(
            f"{record.kind.name.lower()} {record.digest}: block {reached} of {record.blocks} is in "
            "no section that is left"
        )
    if not record.blocks:
        yield ordered[0], range(0)
