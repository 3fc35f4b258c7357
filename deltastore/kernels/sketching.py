"""A few hundred words of a tensor, taken at places that depend on its shape alone.

Two tensors of one shape are sampled at the same places, so their samples tell how large a delta
between them would be. A matrix with some more rows shares about half of its places or more, and the
transposed sample of one matrix lies where the plain sample of the other does.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.kernels.views import Words

__all__ = [
    "LEAST_SIZE",
    "PLAIN_SPANS",
    "TURNED_SPANS",
    "cells",
    "sample",
    "spans",
    "transposed_sample",
]

LEAST_SIZE = 1024
"""Elements; smaller tensors are not worth a sketch."""

WIDTH = 16
"""Neighbors taken at each place: a source far away is read in few pieces."""

PLAIN_SPANS = 16
TURNED_SPANS = 4

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def _mixed(number: int) -> int:
    """SplitMix64's output function (Steele, Lea, Flood 2014): 64 well-mixed bits of a counter."""
    bits = number * _GOLDEN & _MASK
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & _MASK
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & _MASK
    return bits ^ bits >> 31


def _matrix(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns: the first dimension and all others."""
    return (shape[0], prod(shape[1:])) if len(shape) > 1 else (1, prod(shape))


@lru_cache(maxsize=4096)
def spans(shape: tuple[int, ...], count: int = PLAIN_SPANS) -> tuple[tuple[int, int], ...]:
    """Where samples are taken: (first element, elements), each within one row.

    Rows are drawn below the largest power of two in the matrix from the low bits of one sequence,
    so that matrices of different height share the rows they both have.

    Args:
        shape: dimensions of a tensor; an empty one has no places.
        count: number of places.
    """
    rows, columns = _matrix(shape)
    if not rows * columns:
        return ()
    within = (1 << rows.bit_length() - 1) - 1
    width = min(WIDTH, columns)
    found = []
    for number in range(count):
        row = _mixed(2 * number + 1) & within
        column = _mixed(2 * number + 2) % (columns - width + 1)
        found.append((row * columns + column, width))
    return tuple(found)


def cells(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Row and column of each word of a matrix's plain sample, in order."""
    columns = shape[1]
    return [
        divmod(at, columns) for start, size in spans(shape) for at in range(start, start + size)
    ]


def sample(words: Words, shape: tuple[int, ...], count: int = PLAIN_SPANS) -> Words:
    """The words at `spans(shape, count)`, one after the other.

    Args:
        words: all of a tensor's, one per element, in order.
        shape: of the tensor.
        count: number of places.
    """
    return np.concatenate([words[start : start + size] for start, size in spans(shape, count)])


def transposed_sample(words: Words, shape: tuple[int, int]) -> Words:
    """What `sample` would take, at fewer places, from the transposed matrix."""
    return sample_of_view(words.reshape(shape).T, TURNED_SPANS)


def sample_of_view(matrix: Words, count: int) -> Words:
    """As `sample`, of a matrix that need not be contiguous."""
    columns = matrix.shape[1]
    places = (
        (start // columns, start % columns, size) for start, size in spans(matrix.shape, count)
    )
    return np.concatenate([matrix[row, at : at + size] for row, at, size in places])
