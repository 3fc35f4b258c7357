"""The bounds of format-v1 section 10, and whether a record can be true.

Readers check a record once, here, and rely on it afterwards: no length that it gives is larger
than what it claims to hold.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from deltastore.specs import DTYPES, MAX_RANK
from deltastore.storage.records import Kind

if TYPE_CHECKING:
    from deltastore.storage.records import Record, Representation

__all__ = [
    "ALIGNMENT",
    "BLOB_BLOCK",
    "DIRECTORY_ENTRY",
    "MAX_INDEX",
    "MAX_PACK",
    "MAX_RECORDS",
    "align",
    "largest_block",
    "largest_payload",
    "record_problem",
]

ALIGNMENT = 64
BLOB_BLOCK = 1 << 22
DIRECTORY_ENTRY = 20
MAX_PACK = 1 << 32
MAX_RECORDS = 1 << 16
MAX_INDEX = 1 << 24
MAX_INPUTS = 16
MAX_DIRECTORY = 1 << 24
MAX_CODEC = 64
MAX_PAYLOAD_SLACK = 1 << 16
BLOCK_WORDS = 1 << 20
# blocks are cut as evenly as possible: all but a last one hold more than half of 2^20 words
FEWEST_WORDS = 1 << 18

_CODEC = re.compile(r"[a-z][a-z0-9_-]*/[1-9][0-9]*")


def align(offset: int) -> int:
    """The next multiple of 64 bytes, where a section may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def largest_block(record: Record | Representation) -> int:
    """Upper bound of one block's raw bytes."""
    if record.kind is Kind.TENSOR:
        return min(record.raw_length, BLOCK_WORDS * DTYPES[record.dtype].word_bytes)
    return min(record.raw_length, BLOB_BLOCK)


def largest_payload(item: Record | Representation) -> int:
    """No payload may be longer: a block's raw bytes and 64 KiB."""
    return largest_block(item) + MAX_PAYLOAD_SLACK


def record_problem(record: Record) -> str:
    """What makes a record impossible, or an empty string. The bounds that readers rely on."""
    return (
        _content_problem(record)
        or _codec_problem(record)
        or _blocks_problem(record)
        or _section_problem(record)
    )


def _content_problem(record: Record) -> str:
    if record.kind is not Kind.TENSOR:
        return "a dtype or shape on no tensor" if record.dtype or record.shape else ""
    if record.dtype not in DTYPES or len(record.shape) > MAX_RANK:
        return f"dtype {record.dtype!r} of rank {len(record.shape)}"
    if prod(record.shape) * DTYPES[record.dtype].bits != record.raw_length * 8:
        return f"{record.raw_length} bytes for {record.dtype} {list(record.shape)}"
    return ""


def _codec_problem(record: Record) -> str:
    if len(record.codec) > MAX_CODEC or not _CODEC.fullmatch(record.codec):
        return f"codec name {record.codec[:80]!r}"
    if len(record.parameters) >= 1 << 16 or len(record.inputs) > MAX_INPUTS:
        return f"{len(record.parameters)} bytes of parameters, {len(record.inputs)} inputs"
    rows = record.shape[0] if record.shape else 0
    for item in record.inputs:
        if item.rows is not None:
            a, b, c, d = item.rows
            if not (a <= b and c <= d <= rows and b - a == d - c):
                return f"rows [{a}, {b}) of an input onto rows [{c}, {d}) of {rows}"
        if item.transposed and (item.rows is not None or len(record.shape) != 2):
            return f"a transposed input of a tensor of rank {len(record.shape)}"
    return ""


def _blocks_problem(record: Record) -> str:
    largest = largest_block(record)
    if record.kind is Kind.TENSOR:
        most = -(-record.raw_length // (FEWEST_WORDS * DTYPES[record.dtype].word_bytes))
    else:
        most = -(-record.raw_length // BLOB_BLOCK)
    if record.blocks > most or record.blocks * largest < record.raw_length:
        return f"{record.blocks} blocks for {record.raw_length} bytes"
    if record.first_block + record.block_count > record.blocks or (
        record.blocks and not record.block_count
    ):
        return f"blocks [{record.first_block}, +{record.block_count}) of a thing of {record.blocks}"
    return ""


def _section_problem(record: Record) -> str:
    directory = DIRECTORY_ENTRY * record.block_count
    if directory > MAX_DIRECTORY or not directory <= record.length <= MAX_PACK:
        return f"a section of {record.length} bytes for {record.block_count} blocks"
    if record.offset % ALIGNMENT or record.offset > MAX_PACK:
        return f"a section at offset {record.offset}"
    return ""
