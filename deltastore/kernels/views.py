"""An input as it is seen by the tensor that takes it: rows, transposed, of another float dtype.

Format-v1 section 6.3 defines it. Numpy all through: it runs once per tensor, at memory speed.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from deltastore.kernels.rounding import narrowed, rounded, widened

if TYPE_CHECKING:
    from deltastore.specs import Dtype

__all__ = ["Words", "converted", "row_words", "transposed"]

Words: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]

PIECE = 1 << 20
"""Words converted at a time, so that wide copies stay small."""


def converted(words: Words, source: Dtype, target: Dtype) -> Words:
    """Words of one float dtype as the nearest ones of another.

    Args:
        words: one dimension, of `source`.
        source: a float dtype.
        target: a float dtype.

    Returns:
        A fresh array of `target`'s words; NaN becomes 0.
    """
    result: Words = np.empty(len(words), dtype=f"<u{target.word_bytes}")
    for start in range(0, len(words), PIECE):
        piece = slice(start, start + PIECE)
        result[piece] = _converted(words[piece], source, target)
    return result


def _converted(words: Words, source: Dtype, target: Dtype) -> Words:
    wide = widened(words, source)
    unknown = np.isnan(wide)
    values = np.where(unknown, 0, wide)
    if source.name == "F64":
        return np.where(unknown, 0, narrowed(values, target))
    if target.name == "F64":
        values = values.astype(np.float64)
    return np.where(unknown, 0, rounded(values, target))


def transposed(words: Words, shape: tuple[int, int]) -> Words:
    """A matrix with its dimensions exchanged.

    Args:
        words: of the matrix, row by row.
        shape: the input's rows and columns.
    """
    return np.ascontiguousarray(words.reshape(shape).T).reshape(-1)


def row_words(
    words: Words, shape: tuple[int, ...], rows: tuple[int, int, int, int], count: int
) -> Words:
    """Rows [a, b) of an input at rows [c, d) of a tensor that is zero elsewhere.

    Args:
        words: of the input.
        shape: of the input.
        rows: (a, b, c, d).
        count: rows of the tensor.
    """
    a, b, c, d = rows
    width = prod(shape[1:])
    result: Words = np.zeros(count * width, words.dtype)
    result[c * width : d * width] = words[a * width : b * width]
    return result
