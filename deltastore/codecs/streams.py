"""How a payload holds several streams of byte symbols, each entropy-coded (codecs-v1 section 1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from deltastore.codecs.positions import checked_positions
from deltastore.errors import CorruptError
from deltastore.storage.zstd import compress_symbols, decompress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.kernels.dispatch import Kernels

__all__ = ["Coder", "StreamReader", "Symbols", "write_streams"]

Symbols: TypeAlias = npt.NDArray[np.uint8]

MAX_STREAMS = 255
_VARINT_BYTES = 5
_SMALL = 16


class Coder(IntEnum):
    """How the symbols of a stream are stored."""

    STORED = 0
    ZSTD = 1
    REPEATED = 2
    GAPS = 3
    NIBBLES = 4
    CRUMBS = 5


_PER_BYTE = {Coder.NIBBLES: 2, Coder.CRUMBS: 4}


def write_streams(streams: Sequence[Symbols], kernels: Kernels) -> bytes:
    """A payload of these streams, in order.

    Raises:
        ValueError: more than 255 of them; a codec's own mistake.
    """
    if len(streams) > MAX_STREAMS:
        msg = f"{len(streams)} streams in one payload"
        raise ValueError(msg)
    parts = [bytes([len(streams)])]
    for symbols in streams:
        parts += _header_and_body(*_coded(symbols, kernels), len(symbols))
    return b"".join(parts)


def _header_and_body(coder: Coder, stored: bytes, raw_length: int) -> tuple[bytes, bytes]:
    return bytes([coder]) + _varint(raw_length) + _varint(len(stored)), stored


def _coded(symbols: Symbols, kernels: Kernels) -> tuple[Coder, bytes]:
    """The fixed rule of codecs-v1 section 1; whatever does not get smaller is stored."""
    coder = _choose(symbols)
    if coder in {Coder.STORED, Coder.REPEATED, Coder.ZSTD}:
        return _coded_plainly(symbols, coder)
    stored = _gap_coded(symbols, kernels) if coder == Coder.GAPS else _pack(symbols, coder)
    if len(stored) < len(symbols):
        return coder, stored
    return Coder.STORED, symbols.tobytes()


def _choose(symbols: Symbols) -> Coder:
    size = len(symbols)
    largest = int(symbols.max()) if size else 0
    if size and largest == int(symbols.min()):
        return Coder.REPEATED
    if size < _SMALL:
        return Coder.STORED
    zeros = size - int(np.count_nonzero(symbols))
    if 8 * zeros >= 7 * size:
        return Coder.GAPS
    if largest < 4:
        return Coder.CRUMBS
    if largest < 16:
        return Coder.NIBBLES
    return Coder.GAPS if 8 * zeros >= 5 * size else Coder.ZSTD


def _coded_plainly(symbols: Symbols, coder: Coder) -> tuple[Coder, bytes]:
    if coder == Coder.REPEATED:
        return coder, symbols[:1].tobytes()
    if coder == Coder.ZSTD:
        frame = compress_symbols(symbols)
        if len(frame) < len(symbols):
            return coder, frame
    return Coder.STORED, symbols.tobytes()


def _inner(symbols: Symbols) -> bytes:
    """A stream inside a stream: coders 0 to 2 only."""
    size = len(symbols)
    coder = Coder.ZSTD if size >= _SMALL else Coder.STORED
    if size and symbols.min() == symbols.max():
        coder = Coder.REPEATED
    return b"".join(_header_and_body(*_coded_plainly(symbols, coder), size))


def _gap_coded(symbols: Symbols, kernels: Kernels) -> bytes:
    gaps, values = kernels.gaps(symbols)
    return _varint(len(values)) + _inner(gaps) + _inner(values.astype(np.uint8, copy=False))


def _pack(symbols: Symbols, coder: Coder) -> bytes:
    per_byte = _PER_BYTE[coder]
    bits = 8 // per_byte
    columns = np.pad(symbols, (0, -len(symbols) % per_byte)).reshape(-1, per_byte)
    packed = columns[:, 0].copy()
    for column in range(1, per_byte):
        packed |= columns[:, column] << (bits * column)
    return _inner(packed)


def _unpack(packed: Symbols, coder: Coder, raw_length: int) -> Symbols:
    per_byte = _PER_BYTE[coder]
    bits = 8 // per_byte
    columns = np.empty((len(packed), per_byte), np.uint8)
    for column in range(per_byte):
        columns[:, column] = (packed >> (bits * column)) & (2**bits - 1)
    return columns.reshape(-1)[:raw_length]


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


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
        elif coder in _PER_BYTE:
            packed = self._plain(*self._header_of_inner(-(-raw_length // _PER_BYTE[coder])))
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
