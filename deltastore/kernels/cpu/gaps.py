"""Positions as gap bytes (codecs-v1 section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deltastore.kernels.cpu.compiling import Array, compiled, i64, readable, writable

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.unsignedinteger[Any]]
    Bytes = npt.NDArray[np.uint8]

__all__ = ["gaps", "positions"]


def gaps(words: Words) -> tuple[Bytes, Words]:
    """See `deltastore.kernels.reference.gaps`."""
    present = int(np.count_nonzero(words))
    values = np.empty(present, words.dtype)
    # every 255 skips that many words, every other byte stands for a position
    encoded = np.empty(present + words.size // 255, np.uint8)
    used = _gaps(words, encoded, values)
    return encoded[:used].copy(), values


def positions(encoded: Bytes) -> npt.NDArray[np.int64]:
    """See `deltastore.kernels.reference.positions`."""
    places = np.empty(np.count_nonzero(encoded != 255), np.int64)
    _positions(encoded, places)
    return places


@compiled(
    *[
        (readable(width), writable("uint8"), writable(width))
        for width in ("uint8", "uint16", "uint32", "uint64")
    ]
)
def _gaps(words: Array, encoded: Array, values: Array) -> int:
    used = 0
    found = 0
    behind = 0
    for i in range(words.size):
        if words[i] != 0:
            skipped = i - behind
            while skipped >= 255:
                encoded[used] = 255
                used += 1
                skipped -= 255
            encoded[used] = skipped
            used += 1
            values[found] = words[i]
            found += 1
            behind = i + 1
    return used


@compiled((readable("uint8"), writable("int64")))
def _positions(encoded: Array, places: Array) -> None:
    at = i64(0)
    found = 0
    for i in range(encoded.size):
        at += i64(encoded[i])
        if encoded[i] != 255:
            places[found] = at
            found += 1
            at += 1
