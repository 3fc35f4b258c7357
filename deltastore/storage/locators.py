"""Locators: where one version's closure is kept (format-v1 section 7)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from deltastore.errors import UsageError
from deltastore.storage.index import RecordCursor, encode_record
from deltastore.storage.limits import MAX_PACK
from deltastore.storage.records import PackId, Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_LOCATOR", "decode_locator", "encode_locator"]

MAX_LOCATOR = 1 << 28
_MAGIC = b"DSLOCAT1"
_NUMBER = struct.Struct("<I")
_PACK = struct.Struct("<32sQ")


def encode_locator(placements: Sequence[Placement]) -> bytes:
    """A locator's decoded bytes; packs are listed in order of first appearance.

    Raises:
        UsageError: more than 256 MiB, two beginnings of data for one pack, or impossible records.
    """
    numbers: dict[tuple[PackId, int], int] = {}
    records: list[bytes] = []
    for placement in placements:
        number = numbers.setdefault((placement.pack, placement.data_start), len(numbers))
        records.append(_NUMBER.pack(number) + encode_record(placement.record))
    if len({pack for pack, _ in numbers}) < len(numbers):
        raise UsageError("a locator cannot give two beginnings of data for one pack")
    packs = [_PACK.pack(bytes.fromhex(pack), start) for pack, start in numbers]
    parts = [_MAGIC, _NUMBER.pack(len(packs)), *packs, _NUMBER.pack(len(records)), *records]
    encoded = b"".join(parts)
    if len(encoded) > MAX_LOCATOR:
        raise UsageError(f"a locator of {len(encoded)} bytes, at most {MAX_LOCATOR} allowed")
    return encoded


def decode_locator(data: bytes, *, what: str = "locator") -> tuple[Placement, ...]:
    """The placements of a locator, in stored order.

    Raises:
        CorruptError: limits exceeded, truncated, trailing bytes, impossible records.
        UnsupportedError: a view that this version does not know.
    """
    cursor = RecordCursor(data, what)
    if len(data) > MAX_LOCATOR or cursor.take(8) != _MAGIC:
        cursor.fail("not a locator, or too large")
    packs = [_PACK.unpack(cursor.take(_PACK.size)) for _ in range(cursor.number())]
    if any(start > MAX_PACK for _, start in packs):
        cursor.fail("a pack's data begins beyond its end")
    places = [(PackId(pack.hex()), start) for pack, start in packs]
    placements = tuple(_placement(cursor, places) for _ in range(cursor.number()))
    cursor.finish()
    return placements


def _placement(cursor: RecordCursor, places: Sequence[tuple[PackId, int]]) -> Placement:
    number = cursor.number()
    if number >= len(places):
        cursor.fail(f"pack number {number} of {len(places)}")
    return Placement(*places[number], cursor.record())
