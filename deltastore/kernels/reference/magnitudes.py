"""Finding the largest differences and summing their squares (codecs-v1 section 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Counts = npt.NDArray[np.int64]

__all__ = ["magnitude_counts", "select", "squared_sum"]

_KEYS = 0x7F80
_LANES = 8


def magnitude_counts(delta: npt.NDArray[np.float32]) -> tuple[Counts, Counts]:
    """Per key (upper 16 bits of the magnitude) how many there are and the sum of the lower 16.

    Args:
        delta: differences of one block; what is not finite is left out.

    Returns:
        Two arrays of 0x7F80 integers. Key 0 is left out: its entries are 0.
    """
    bits = delta.view(np.uint32) & 0x7FFFFFFF
    key, low = bits >> 16, bits & 0xFFFF
    counted = (key > 0) & (key < _KEYS)
    counts = np.bincount(key[counted], minlength=_KEYS).astype(np.int64)
    sums = np.bincount(key[counted], weights=low[counted], minlength=_KEYS)
    return counts, sums.astype(np.int64)


def select(
    delta: npt.NDArray[np.float32], key: int, quota: int
) -> tuple[Counts, npt.NDArray[np.int8]]:
    """Where the differences above `key` are and the first `quota` at it, and their signs.

    Args:
        delta: differences of one block; what is not finite or has key 0 is left out.
        key: upper 16 bits of a magnitude.
        quota: how many at `key` are wanted.

    Returns:
        Ascending positions; -1 or 1 for each.
    """
    own = (delta.view(np.uint32) & 0x7FFFFFFF) >> 16
    finite = (own > 0) & (own < _KEYS)
    ties = finite & (own == key)
    places = np.flatnonzero(finite & (own > key) | ties & (np.cumsum(ties) <= quota))
    return places, np.where(np.signbit(delta[places]), -1, 1).astype(np.int8)


def squared_sum(delta: npt.NDArray[np.float32] | npt.NDArray[np.float64]) -> float:
    """Sum of squares in double precision, of what is finite.

    Element i is added to partial sum i mod 8, in order; these are added in order at the end.
    """
    wide = np.where(np.isfinite(delta), delta, 0).astype(np.float64)
    wide = np.pad(wide, (0, -len(wide) % _LANES)).reshape(-1, _LANES)
    if len(wide) == 0:
        return 0.0
    lanes = np.add.accumulate(wide * wide, axis=0)[-1]
    return float(np.add.accumulate(lanes)[-1])
