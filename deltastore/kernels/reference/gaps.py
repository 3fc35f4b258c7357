"""Positions as gap bytes (codecs-v1 section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.unsignedinteger[Any]]
    Bytes = npt.NDArray[np.uint8]

__all__ = ["gaps", "positions"]


def gaps(words: Words) -> tuple[Bytes, Words]:
    """Where `words` are not zero, as gap bytes, and the words there."""
    place = np.flatnonzero(words)
    skipped = np.diff(place, prepend=-1) - 1
    last = np.cumsum(skipped // 255 + 1) - 1
    encoded = np.full(last[-1] + 1 if len(last) else 0, 255, np.uint8)
    encoded[last] = skipped % 255
    return encoded, words[place]


def positions(encoded: Bytes) -> npt.NDArray[np.int64]:
    """The positions that gap bytes stand for."""
    ends = encoded < 255
    steps = encoded.astype(np.int64) + ends
    return np.cumsum(steps)[ends] - 1
