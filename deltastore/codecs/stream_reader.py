"""Reads the streams of a payload that comes from outside (codecs-v1 section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deltastore.codecs.positions import checked_positions
from deltastore.codecs.streams import PER_BYTE, Coder
from deltastore.errors import CorruptError
from deltastore.storage.zstd import decompress

if TYPE_CHECKING:
    from deltastore.codecs.streams import Symbols
    from deltastore.kernels.dispatch import Kernels

__all__ = ["StreamReader"]

_VARINT_BYTES = 5


@dataclass(slots=True)
class StreamReader:
    """Takes the streams of a payload in order; never allocates more than the caller expects.

    Attributes:
        payload: bytes from outside.
        kernels: that undo gaps.
        what: names the payload in errors.
    """

    payload: bytes
    kernels: Kernels
    what: str
    _position: int = 0
    _left: int = 0

    def __post_init__(self) -> None:
        self._left = self._byte()

    def take(self, raw_length: int) -> Symbols:
        """The next stream, which must have exactly that many symbols.

        Raises:
            CorruptError: it has not, or is damaged.
        """
        return self._next(raw_length, raw_length)

    def take_at_most(self, limit: int) -> Symbols:
        """The next stream, of at most that many symbols.

        Raises:
            CorruptError: it has more, or is damaged.
        """
        return self._next(0, limit)

    def finish(self) -> None:
        """Nothing may be left.

        Raises:
            CorruptError: something is.
        """
        rest = len(self.payload) - self._position
        if self._left or rest:
            raise self._corrupt(f"{self._left} streams and {rest} bytes too many")

    def _next(self, least: int, most: int) -> Symbols:
        if self._left == 0:
            raise self._corrupt("a stream is missing")
        self._left -= 1
        coder, raw_length, end = self._header(least, most)
        if coder == Coder.GAPS:
            symbols = self._gaps(raw_length)
        elif coder in PER_BYTE:
            packed = self._plain(*self._header_of_inner(-(-raw_length // PER_BYTE[coder])))
            symbols = _unpack(packed, coder, raw_length)
        else:
            symbols = self._plain(coder, raw_length, end)
        if self._position != end:
            raise self._corrupt("a stream has another length than it says")
        return symbols

    def _header(self, least: int, most: int) -> tuple[Coder, int, int]:
        """Coder, raw length, and where the stored bytes end."""
        number = self._byte()
        raw_length, stored = self._varint(), self._varint()
        if number not in Coder.__members__.values():
            raise self._corrupt(f"unknown coder {number}")
        if not least <= raw_length <= most:
            raise self._corrupt(f"a stream of {raw_length} symbols instead of {least} to {most}")
        if stored > len(self.payload) - self._position:
            raise self._corrupt("truncated")
        return Coder(number), raw_length, self._position + stored

    def _header_of_inner(self, raw_length: int) -> tuple[Coder, int, int]:
        return self._header(raw_length, raw_length)

    def _plain(self, coder: Coder, raw_length: int, end: int) -> Symbols:
        stored = memoryview(self.payload)[self._position : end]
        self._position = end
        if coder == Coder.ZSTD:
            frame = decompress(stored, raw_length, what=self.what)
            return np.frombuffer(frame, np.uint8)
        if coder == Coder.STORED and len(stored) == raw_length:
            return np.frombuffer(stored, np.uint8)
        if coder == Coder.REPEATED and len(stored) == 1 and raw_length > 0:
            return np.full(raw_length, stored[0], np.uint8)
        raise self._corrupt(f"{len(stored)} stored bytes do not make {raw_length} symbols")

    def _gaps(self, raw_length: int) -> Symbols:
        present = self._varint()
        if present > raw_length:
            raise self._corrupt(f"{present} of {raw_length} symbols are not zero")
        gaps = self._plain(*self._header(present, present + raw_length // 255))
        places = checked_positions(gaps, raw_length, self.kernels, what=self.what)
        values = self._plain(*self._header_of_inner(present))
        if len(places) != present:
            raise self._corrupt(f"{len(places)} gaps for {present} symbols")
        symbols = np.zeros(raw_length, np.uint8)
        symbols[places] = values
        return symbols

    def _byte(self) -> int:
        if self._position >= len(self.payload):
            raise self._corrupt("truncated")
        self._position += 1
        return self.payload[self._position - 1]

    def _varint(self) -> int:
        value = 0
        for index in range(_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value
        raise self._corrupt("a length of more than 5 bytes")

    def _corrupt(self, reason: str) -> CorruptError:
        return CorruptError(f"{self.what}: {reason}")


def _unpack(packed: Symbols, coder: Coder, raw_length: int) -> Symbols:
    per_byte = PER_BYTE[coder]
    bits = 8 // per_byte
    columns = np.empty((len(packed), per_byte), np.uint8)
    for column in range(per_byte):
        columns[:, column] = (packed >> (bits * column)) & (2**bits - 1)
    return columns.reshape(-1)[:raw_length]
