"""One change taken out of weights that have changed since: tip - (commit - parent).

In double precision, rounded once to the tensor's dtype, a block at a time. Elements that the commit
did not change keep the tip's bits; elements unchanged since then get the parent's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deltastore.codecs.blocks import BLOCK_WORDS, as_words
from deltastore.kernels.rounding import narrowed, widened
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from deltastore.codecs.protocol import Words
    from deltastore.materialize.tensors import Bytes
    from deltastore.specs import Dtype

__all__ = ["subtractable", "without_change"]


def subtractable(dtype: str) -> bool:
    """Whether tensors of a dtype take part in arithmetic: floats and complex numbers."""
    return DTYPES[dtype].kind in ("float", "complex")


def without_change(tip: Bytes, commit: Bytes, parent: Bytes, dtype: str) -> Bytes:
    """The tip's tensor without the change from parent to commit.

    Args:
        tip: raw bytes of the tensor as it is now.
        commit: as the commit left it; as long as `tip`.
        parent: as it was before; as long as `tip`.
        dtype: of all three; complex numbers are taken as pairs.

    Returns:
        Raw bytes, fresh. Where one of three differing elements is not finite, the tip's.
    """
    parts = DTYPES["F32" if DTYPES[dtype].kind == "complex" else dtype]
    result = np.empty_like(tip)
    step = BLOCK_WORDS * parts.word_bytes
    for start in range(0, tip.nbytes, step):
        block = slice(start, start + step)
        now, then, before = (as_words(side[block].data, parts) for side in (tip, commit, parent))
        result[block] = _block(now, then, before, parts).view(np.uint8)
    return result


def _block(tip: Words, commit: Words, parent: Words, dtype: Dtype) -> Words:
    left = np.where(tip == commit, parent, tip)
    both = (tip != commit) & (commit != parent)
    left[both] = _difference(tip[both], commit[both], parent[both], dtype)
    return left


def _difference(tip: Words, commit: Words, parent: Words, dtype: Dtype) -> Words:
    with np.errstate(invalid="ignore", over="ignore"):
        t, c, p = (widened(words, dtype).astype(np.float64) for words in (tip, commit, parent))
        finite = np.isfinite(t) & np.isfinite(c) & np.isfinite(p)
        values = np.where(finite, t - (c - p), 0.0)
    return np.where(finite, narrowed(values, dtype), tip)
