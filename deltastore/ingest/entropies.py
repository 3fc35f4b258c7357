"""How many bits the exact codec would spend on differences of which only a sample is known."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Estimates", "bits_of_differences"]

Estimates: TypeAlias = npt.NDArray[np.float64]

MOST = 0.9
"""Share of samples that speaks for all."""

SHORT = 2
"""Bytes of words that are coded by contexts; longer ones are by bytes."""


def bits_of_differences(zigzag: npt.NDArray[np.unsignedinteger[Any]]) -> Estimates:
    """The entropy of differences whose scale is that of each one's neighborhood.

    Words of 4 and 8 bytes are coded a byte at a time, so theirs is the entropy of their bytes: few
    values occur where training only shrank weights that had been rounded.

    A Laplacian of mean absolute value m has about log2(2 e m) = E log2|d| + 3.27 bits. Where most
    differences are 0, where they are is what costs.

    Args:
        zigzag: (tensors, words), as the exact codec has them.

    Returns:
        Bits per word of each tensor.
    """
    if zigzag.itemsize > SHORT:
        planes = np.ascontiguousarray(zigzag).view(np.uint8).reshape(*zigzag.shape, -1)
        found = np.zeros(len(zigzag))
        for at in range(zigzag.itemsize):
            found += _entropy(planes[..., at])
        return found
    whole = (zigzag >> 1) + (zigzag & 1)
    size = np.floor(whole / _common_units(whole)[:, None])
    moved = np.count_nonzero(size, axis=1) / size.shape[1]
    still = np.clip(1 - moved, 1e-12, 1)
    where = -(moved * np.log2(np.clip(moved, 1e-12, 1)) + still * np.log2(still))
    return np.asarray(np.mean(np.log2(np.maximum(size, 1)), axis=1) + 2.0 * moved + where)


def _entropy(symbols: npt.NDArray[np.uint8]) -> Estimates:
    """Bits per symbol of each row, where many symbols were seen once or never.

    Chao and Shen 2003, equation 8: probabilities less what was not seen, by the chance to see them.
    """
    rows, count = symbols.shape
    places = (np.arange(rows)[:, None] << 8) + symbols
    counts = np.bincount(places.reshape(-1), minlength=rows << 8).reshape(rows, -1)
    once = np.minimum(np.count_nonzero(counts == 1, axis=1), count - 1)
    share = counts / count * (1 - once / count)[:, None]
    known = np.where(counts > 0, share, 1.0)
    terms = known * np.log2(known) / (1 - (1 - known) ** count)
    return np.asarray(np.clip(-terms.sum(axis=1), 0.0, 8.0))


def _common_units(sizes: npt.NDArray[np.unsignedinteger[Any]]) -> Estimates:
    """Per row a power of 256 that divides nearly all: low bytes that never change cost nothing.

    Not quite all, because a change of sign is one more than the sum of two magnitudes.
    """
    units = np.ones(len(sizes))
    for power in range(1, sizes.itemsize):
        fits = np.mean(sizes % (256**power) == 0, axis=1) > MOST
        units[fits & sizes.any(axis=1)] = 256.0**power
    return units
