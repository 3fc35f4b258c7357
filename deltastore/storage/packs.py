"""Packs in a store: publishing spooled ones, and reading any part of one with proof.

pack id -> first 4,096 bytes -> index -> directory -> payload: each vouches for the next, so a
reader never uses a byte that the id it started from does not cover. A placement from a locator
enters the chain at the directory.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, TypeVar

from blake3 import blake3

from deltastore.errors import CorruptError, MissingObjectError, UnsupportedError, UsageError
from deltastore.ids import Digest, blob_digest, bytes_digest
from deltastore.storage.ahead import ReadAhead, plan_windows
from deltastore.storage.blobs import BLOB_CODEC, blob_block_length, decode_blob_block
from deltastore.storage.headers import HEAD_BYTES, decode_head
from deltastore.storage.index import decode_index
from deltastore.storage.keys import pack_key
from deltastore.storage.openings import Openings, PackContents
from deltastore.storage.records import Kind, Placement
from deltastore.storage.sections import cover, decode_directory, directory_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from deltastore.storage.ahead import RangeSource
    from deltastore.storage.backend import Backend
    from deltastore.storage.packing import SpooledPack
    from deltastore.storage.records import PackId
    from deltastore.storage.sections import Directory

__all__ = ["PackContents", "PackReader", "publish"]

_T = TypeVar("_T")

SPECULATIVE_BYTES = 64 << 10
PIECE_BYTES = 16 << 20
WHOLE_BYTES = 1 << 20
"""Packs of commits and of checkpoints up to this size are read whole: whoever looks into one needs
most of it, and a request costs as much time as a megabyte."""


def publish(backend: Backend, pack: SpooledPack) -> int:
    """Put a spooled pack into a store, durably, and remove the local file; its size in bytes."""
    size = backend.put_immutable(pack_key(pack.pack), pack.path)
    pack.discard()
    return size


class PackReader:
    """Reads packs of one store. Thread-safe; keeps a bounded number of indexes in memory.

    Args:
        source: the store.
        distant: requests take time, so that few large ones are worth more memory.
        forget: drops what is kept of an object, by its key, when that turned out to be wrong.
    """

    def __init__(
        self,
        source: RangeSource,
        *,
        distant: bool = False,
        forget: Callable[[str], None] = lambda _key: None,
    ) -> None:
        self._source = source
        self._distant = distant
        self._forget = forget
        self._openings = Openings()

    @contextmanager
    def ahead(self, placements: Iterable[Placement]) -> Iterator[PackReader]:
        """A reader of the same packs that fetches sections in large pieces before they are needed.

        Args:
            placements: sections, in order of need. Others can be read as well, one by one.
        """
        if not self._distant:
            yield self
            return
        with ReadAhead(self._source, plan_windows(placements)) as source:
            nearer = copy(self)
            nearer._source, nearer._distant = source, False
            yield nearer

    def contents(self, pack: PackId) -> PackContents:
        """Header and index of a pack: one request, two when the index is large.

        Raises:
            MissingObjectError: there is no such pack.
            CorruptError: it is not what its name promises.
        """
        known = self._openings.contents(pack)
        if known is not None:
            return known
        with self._distrusting(pack):
            return self._read_contents(pack)

    def index(self, pack: PackId) -> tuple[Placement, ...]:
        """The sections of a pack, in order; raises as `contents`."""
        return self.contents(pack).placements

    def _read_contents(self, pack: PackId) -> PackContents:
        what = f"pack {pack}"
        key = pack_key(pack)
        start = _read(what, lambda: self._source.get_prefix(key, SPECULATIVE_BYTES))
        head = decode_head(start[:HEAD_BYTES], pack)
        stored = start[HEAD_BYTES : head.data_start]
        left = head.index_length - len(stored)
        if left and len(start) == SPECULATIVE_BYTES:
            at = SPECULATIVE_BYTES
            stored += _read(what, lambda: self._source.get_range(key, at, left))
        if bytes_digest(stored) != head.index_hash:
            raise CorruptError(f"{what}: its index is damaged or cut off")
        records = decode_index(stored, what=f"index of {what}")
        if records and records[-1].offset + records[-1].length > head.data_length:
            raise CorruptError(f"{what}: a section ends beyond its data")
        placements = tuple(Placement(pack, head.data_start, record) for record in records)
        contents = PackContents(pack, head, placements)
        self._openings.keep(contents, start if self._distant else b"")
        return contents

    def directory(self, placement: Placement) -> Directory:
        """The verified directory of a section: one request.

        Raises:
            MissingObjectError: the pack is gone.
            CorruptError: the directory is not what the record promises.
        """
        data = self._fetch(placement, 0, directory_length(placement.record))
        with self._distrusting(placement.pack):
            return decode_directory(data, placement.record, what=_name(placement))

    def payloads(self, placement: Placement, blocks: range | None = None) -> Iterator[bytes]:
        """The payloads of a section, each verified, read in pieces of at most 16 MiB.

        Args:
            placement: the section.
            blocks: consecutive block numbers of the whole thing, all within this section; None
                for all that it has. A small whole section takes one request, any other one for the
                directory and one per piece.

        Raises:
            UsageError: blocks that are not in this section.
            MissingObjectError: the pack is gone.
            CorruptError: a byte is not what the record promises.
        """
        record = placement.record
        if blocks is None and record.length <= PIECE_BYTES:
            return self._verified_section(placement, self._fetch(placement, 0, record.length))
        return self._pieces(placement, blocks)

    def _pieces(self, placement: Placement, blocks: range | None) -> Iterator[bytes]:
        directory = self.directory(placement)
        wanted = directory.blocks if blocks is None else blocks
        if wanted and not (
            wanted.step == 1 and wanted[0] in directory.blocks and wanted[-1] in directory.blocks
        ):
            raise UsageError(f"{_name(placement)} does not hold blocks {wanted}")
        for piece in directory.pieces(wanted, PIECE_BYTES):
            data = self._fetch(placement, *directory.span(piece))
            with self._distrusting(placement.pack):
                yield from directory.verified(data, piece, what=_name(placement))

    def sections(self, placements: Sequence[Placement]) -> list[tuple[bytes, ...]]:
        """All payloads of several whole sections, neighbours fetched together.

        The caller bounds the sum of their lengths: everything is in memory at once.

        Raises:
            MissingObjectError: a pack is gone.
            CorruptError: a byte is not what its record promises.
        """
        groups: defaultdict[PackId, list[int]] = defaultdict(list)
        for number, placement in enumerate(placements):
            groups[placement.pack].append(number)
        result: list[tuple[bytes, ...]] = [()] * len(placements)
        for pack, numbers in groups.items():
            found = self._ranges(pack, [_span(placements[number]) for number in numbers])
            for number, data in zip(numbers, found, strict=True):
                result[number] = tuple(self._verified_section(placements[number], data))
        return result

    def _verified_section(self, placement: Placement, data: bytes) -> Iterator[bytes]:
        what = _name(placement)
        size = directory_length(placement.record)
        with self._distrusting(placement.pack):
            directory = decode_directory(data[:size], placement.record, what=what)
            yield from directory.verified(data[size:], directory.blocks, what=what)

    def object(self, placement: Placement, *, max_bytes: int) -> bytes:
        """The content of a section that holds all of a blob or document, its digest checked.

        A locator is named after its manifest, so its content rests on its pack alone.

        Raises:
            CorruptError: larger than `max_bytes`, or not what its digest promises.
            MissingObjectError: the pack is gone, or the section is only a part.
        """
        record = placement.record
        if record.raw_length > max_bytes:
            raise CorruptError(f"{_name(placement)}: {record.raw_length} bytes, over {max_bytes}")
        return b"".join(self.blob_chunks([placement]))

    def blob_chunks(self, placements: Iterable[Placement]) -> Iterator[bytes]:
        """The content of a blob or document, 4 MiB at a time; its digest is checked at the end.

        Args:
            placements: sections that together hold all blocks.

        Raises:
            MissingObjectError: a pack or a block is missing.
            CorruptError: a byte is wrong; for the digest, after the last chunk was yielded.
            UnsupportedError: a codec that is not `blob/1`.
        """
        parts = cover(placements)
        content = blake3()
        for placement, blocks in parts:
            for chunk in self._blob_part(placement, blocks):
                content.update(chunk)
                yield chunk
        _check_content(parts[0][0], Digest(content.hexdigest()))

    def _blob_part(self, placement: Placement, blocks: range) -> Iterator[bytes]:
        record, what = placement.record, _name(placement)
        if record.codec != BLOB_CODEC or record.kind is Kind.TENSOR:
            raise UnsupportedError(f"{what}: codec {record.codec} is not one for blobs")
        whole = len(blocks) == record.block_count
        payloads = self.payloads(placement, None if whole else blocks)
        for block, payload in zip(blocks, payloads, strict=True):
            yield decode_blob_block(payload, blob_block_length(record.raw_length, block), what=what)

    def _fetch(self, placement: Placement, start: int, length: int) -> bytes:
        at = placement.data_start + placement.record.offset + start
        if not length:
            return b""
        remembered = self._remembered(placement.pack, at, length)
        if remembered is not None:
            return remembered
        key = pack_key(placement.pack)
        return _read(_name(placement), lambda: self._source.get_range(key, at, length))

    def _ranges(self, pack: PackId, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        found = [self._remembered(pack, *span) for span in spans]
        missing = [span for span, data in zip(spans, found, strict=True) if data is None]
        key = pack_key(pack)
        fetched = iter(
            _read(f"pack {pack}", lambda: self._source.get_ranges(key, missing)) if missing else ()
        )
        return [next(fetched) if data is None else data for data in found]

    def _remembered(self, pack: PackId, start: int, length: int) -> bytes | None:
        """A range that came with the index, or comes with the rest of a small pack."""
        beginning = self._openings.beginning(pack)
        if start + length > len(beginning) and beginning:
            beginning = self._read_rest(pack, beginning)
        if start + length > len(beginning):
            return None
        return beginning[start : start + length]

    def _read_rest(self, pack: PackId, beginning: bytes) -> bytes:
        """All of a small pack of commits or of a checkpoint, else the beginning as it is."""
        contents = self._openings.contents(pack)
        if contents is None or contents.head.pack_class not in {"meta", "checkpoint"}:
            return beginning
        left = contents.head.size - len(beginning)
        if left <= 0 or contents.head.size > WHOLE_BYTES:
            return beginning
        key, at = pack_key(pack), len(beginning)
        rest = _read(f"pack {pack}", lambda: self._source.get_range(key, at, left))
        self._openings.keep(contents, beginning + rest)
        return beginning + rest

    @contextmanager
    def _distrusting(self, pack: PackId) -> Iterator[None]:
        """Have a pack read anew after something in it was wrong: it may have been on the way."""
        try:
            yield
        except CorruptError:
            self._openings.forget(pack)
            self._forget(pack_key(pack))
            raise


def _check_content(placement: Placement, content: Digest) -> None:
    record = placement.record
    if record.kind is Kind.LOCATOR:
        return
    found = blob_digest(record.raw_length, content) if record.kind is Kind.BLOB else content
    if found != record.digest:
        raise CorruptError(f"{_name(placement)}: its content has digest {found}")


def _span(placement: Placement) -> tuple[int, int]:
    record = placement.record
    return placement.data_start + record.offset, record.length


def _name(placement: Placement) -> str:
    record = placement.record
    return f"pack {placement.pack}, section of {record.kind.name.lower()} {record.digest}"


def _read(what: str, read: Callable[[], _T]) -> _T:
    """Name the pack and section in what a backend raises about its object."""
    try:
        return read()
    except MissingObjectError as reason:
        raise MissingObjectError(f"{what}: {reason}", hint=reason.hint) from reason
    except CorruptError as reason:
        raise CorruptError(f"{what}: {reason}", hint=reason.hint) from reason
