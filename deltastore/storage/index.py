"""The binary index of a pack: records to bytes and back (format-v1 section 6).

Everything decoded here came from outside: nothing is allocated from a length that was not checked.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deltastore.errors import CorruptError, UnsupportedError, UsageError
from deltastore.ids import Digest
from deltastore.specs import DTYPES, dtype_by_code
from deltastore.storage.limits import MAX_INDEX, MAX_RECORDS, record_problem
from deltastore.storage.records import Input, Kind, Record
from deltastore.storage.zstd import compress_text, declared_size, decompress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Never


__all__ = ["RecordCursor", "decode_index", "decode_records", "encode_index", "encode_record"]

_MAGIC = b"DSINDEX1"
_TAIL = struct.Struct("<QIIIQQ32s")
_ROWS = struct.Struct("<QQQQ")
_COUNT = struct.Struct("<I")
_SHORT = struct.Struct("<H")
_KINDS = {int(kind): kind for kind in Kind}


def encode_record(record: Record) -> bytes:
    """One record's bytes.

    Raises:
        UsageError: the record cannot be true, see `record_problem`.
    """
    problem = record_problem(record)
    if problem:
        raise UsageError(f"a record that cannot be: {problem}")
    codec = record.codec.encode("ascii")
    code = DTYPES[record.dtype].code if record.dtype else 0
    parts = [
        bytes([record.kind]),
        bytes.fromhex(record.digest),
        bytes([code, len(record.shape)]),
        struct.pack(f"<{len(record.shape)}Q", *record.shape),
        bytes([len(codec)]),
        codec,
        _SHORT.pack(len(record.parameters)),
        record.parameters,
        bytes([len(record.inputs)]),
        *(_encode_input(item) for item in record.inputs),
        _TAIL.pack(
            record.raw_length,
            record.blocks,
            record.first_block,
            record.block_count,
            record.offset,
            record.length,
            bytes.fromhex(record.directory_hash),
        ),
    ]
    return b"".join(parts)


def _encode_input(item: Input) -> bytes:
    digest = bytes.fromhex(item.digest)
    if item.rows is not None:
        return digest + b"\1" + _ROWS.pack(*item.rows)
    return digest + (b"\2" if item.transposed else b"\0")


def encode_index(records: Sequence[Record]) -> bytes:
    """The stored bytes of an index: one zstd frame.

    Raises:
        UsageError: more than 65,536 records or 16 MiB, out of order, or impossible records.
    """
    raw = _MAGIC + _COUNT.pack(len(records)) + b"".join(map(encode_record, records))
    problem = _order_problem(records)
    if len(records) > MAX_RECORDS or len(raw) > MAX_INDEX or problem:
        raise UsageError(problem or f"an index of {len(records)} records, {len(raw)} bytes")
    return compress_text(raw)


def decode_index(stored: bytes, *, what: str = "index") -> tuple[Record, ...]:
    """The records of a stored index, in order of offset.

    Raises:
        CorruptError: limits exceeded, truncated, trailing bytes, overlapping or impossible records.
        UnsupportedError: a view that this version does not know.
    """
    size = declared_size(stored, max_bytes=MAX_INDEX, what=what)
    raw = decompress(stored, size, what=what)
    if raw[:8] != _MAGIC or len(raw) < 12:
        raise CorruptError(f"{what}: not an index")
    (count,) = _COUNT.unpack_from(raw, 8)
    if count > MAX_RECORDS:
        raise CorruptError(f"{what}: {count} records, at most {MAX_RECORDS} allowed")
    records = decode_records(raw[12:], count, what=what)
    problem = _order_problem(records)
    if problem:
        raise CorruptError(f"{what}: {problem}")
    return records


def _order_problem(records: Sequence[Record]) -> str:
    end = 0
    for record in records:
        if record.offset < end:
            return f"sections overlap at offset {record.offset}"
        end = record.offset + record.length
    return ""


def decode_records(data: bytes, count: int, *, what: str = "records") -> tuple[Record, ...]:
    """Exactly `count` records and nothing after them.

    Raises:
        CorruptError: truncated, trailing bytes, or a record that cannot be true.
        UnsupportedError: a view that this version does not know.
    """
    cursor = RecordCursor(data, what)
    records = tuple(cursor.record() for _ in range(count))
    cursor.finish()
    return records


class RecordCursor:
    """Reads records one after the other from bytes that may lie.

    Args:
        data: the bytes.
        what: names them in errors.
    """

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._what = what
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self._at + size
        if end > len(self._data):
            self.fail("it ends in the middle of a record")
        piece = self._data[self._at : end]
        self._at = end
        return piece

    def number(self) -> int:
        """The next u32."""
        return int.from_bytes(self.take(4), "little")

    def finish(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._data):
            self.fail(f"{len(self._data) - self._at} bytes after the last record")

    def fail(self, reason: str) -> Never:
        """Say what is wrong, and where."""
        raise CorruptError(f"{self._what}: {reason}")

    def record(self) -> Record:
        """The next record."""
        head = self.take(35)
        dtype, rank = self._dtype(head[33]), head[34]
        shape = struct.unpack(f"<{rank}Q", self.take(8 * rank))
        codec = self.take(self.take(1)[0]).decode("latin-1")
        parameters = self.take(_SHORT.unpack(self.take(2))[0])
        inputs = tuple(self._input() for _ in range(self.take(1)[0]))
        raw, blocks, first, count, offset, length, check = _TAIL.unpack(self.take(_TAIL.size))
        record = Record(
            kind=_KINDS.get(head[0]) or self.fail(f"unknown kind {head[0]}"),
            digest=Digest(head[1:33].hex()),
            dtype=dtype,
            shape=shape,
            codec=codec,
            parameters=parameters,
            inputs=inputs,
            raw_length=raw,
            blocks=blocks,
            first_block=first,
            block_count=count,
            offset=offset,
            length=length,
            directory_hash=Digest(check.hex()),
        )
        problem = record_problem(record)
        return record if not problem else self.fail(f"{record.digest}: {problem}")

    def _dtype(self, code: int) -> str:
        if code == 0:
            return ""
        dtype = dtype_by_code(code)
        return dtype.name if dtype else self.fail(f"unknown dtype code {code}")

    def _input(self) -> Input:
        head = self.take(33)
        digest = Digest(head[:32].hex())
        if head[32] > 2:
            raise UnsupportedError(f"{self._what}: view {head[32]} of input {digest} is unknown")
        rows = _ROWS.unpack(self.take(32)) if head[32] == 1 else None
        return Input(digest, rows, transposed=head[32] == 2)
