"""How a payload holds several streams of byte symbols, each entropy-coded (codecs-v1 section 1)."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from deltastore.storage.zstd import compress_symbols

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.kernels.dispatch import Kernels

__all__ = ["PER_BYTE", "Coder", "Symbols", "write_streams"]

Symbols: TypeAlias = npt.NDArray[np.uint8]

MAX_STREAMS = 255
_SMALL = 16


class Coder(IntEnum):
    """How the symbols of a stream are stored."""

    STORED = 0
    ZSTD = 1
    REPEATED = 2
    GAPS = 3
    NIBBLES = 4
    CRUMBS = 5


PER_BYTE = {Coder.NIBBLES: 2, Coder.CRUMBS: 4}
"""Symbols in a byte of the coders that pack them."""


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
    per_byte = PER_BYTE[coder]
    bits = 8 // per_byte
    columns = np.pad(symbols, (0, -len(symbols) % per_byte)).reshape(-1, per_byte)
    packed = columns[:, 0].copy()
    for column in range(1, per_byte):
        packed |= columns[:, column] << (bits * column)
    return _inner(packed)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
