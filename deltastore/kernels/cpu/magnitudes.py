"""Finding the largest differences and summing their squares (codecs-v1 section 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import types

from deltastore.kernels.cpu.compiling import Array, compiled, f64, i64, readable, writable

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

__all__ = ["magnitude_counts", "select", "squared_sum"]

_KEYS = 0x7F80
_LANES = 8


def magnitude_counts(delta: npt.NDArray[np.float32]) -> tuple[Counts, Counts]:
    """See `deltastore.kernels.reference.magnitude_counts`."""
    counts = np.zeros(2**15, np.int64)
    sums = np.zeros(2**15, np.int64)
    _magnitude_counts(delta.view(np.uint32), counts, sums)
    counts[0] = sums[0] = 0
    return counts[:_KEYS], sums[:_KEYS]


def select(
    delta: npt.NDArray[np.float32], key: int, quota: int
) -> tuple[Counts, npt.NDArray[np.int8]]:
    """See `deltastore.kernels.reference.select`."""
    bits = delta.view(np.uint32)
    # the loop writes one entry ahead of what it has found
    room = _count_above(bits, key) + min(quota, delta.size) + 1
    places, signs = np.empty(room, np.int64), np.empty(room, np.int8)
    found = _select(bits, key, quota, places, signs)
    return places[:found], signs[:found]


def squared_sum(delta: npt.NDArray[np.float32] | npt.NDArray[np.float64]) -> float:
    """See `deltastore.kernels.reference.squared_sum`."""
    lanes = np.zeros(_LANES)
    _squared_sum(delta, lanes)
    return float(np.add.accumulate(lanes)[-1])


@compiled((readable("uint32"), writable("int64"), writable("int64")))
def _magnitude_counts(bits: Array, counts: Array, sums: Array) -> None:
    for i in range(bits.size):
        key = i64(bits[i] >> np.uint32(16)) & 0x7FFF
        counts[key] += 1
        sums[key] += i64(bits[i]) & 0xFFFF


@compiled((readable("uint32"), types.int64))
def _count_above(bits: Array, key: int) -> int:
    found = 0
    for i in range(bits.size):
        own = i64(bits[i] >> np.uint32(16)) & 0x7FFF
        found += (own > key) & (own > 0) & (own < _KEYS)
    return found


@compiled((readable("uint32"), types.int64, types.int64, writable("int64"), writable("int8")))
def _select(bits: Array, key: int, quota: int, places: Array, signs: Array) -> int:
    left = quota
    found = 0
    for i in range(bits.size):
        own = i64(bits[i] >> np.uint32(16)) & 0x7FFF
        finite = (own > 0) & (own < _KEYS)
        tie = i64(finite & (own == key) & (left > 0))
        places[found] = i
        signs[found] = 1 - 2 * i64(bits[i] >> np.uint32(31))
        found += i64(finite & (own > key)) + tie
        left -= tie
    return found


@compiled(
    (readable("float32"), writable("float64")),
    (readable("float64"), writable("float64")),
)
def _squared_sum(delta: Array, lanes: Array) -> None:
    for start in range(0, delta.size, _LANES):
        for lane in range(min(_LANES, delta.size - start)):
            value = f64(delta[start + lane])
            if value - value == 0:
                lanes[lane] += value * value
