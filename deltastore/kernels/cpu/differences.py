"""Ordered integers, their differences, and zigzag (codecs-v1 section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from deltastore.kernels.cpu.compiling import Array, compiled, i64, readable, writable

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.unsignedinteger[Any]]

__all__ = ["difference", "integrate"]

_SIGNATURES = [
    (readable(kind), readable(kind), types.int64, types.int64, writable(kind))
    for kind in ("int8", "int16", "int32", "int64")
]


def difference(target: Words, reference: Words, ordered: bool) -> Words:
    """See `deltastore.kernels.reference.difference`."""
    zigzag = np.empty_like(target)
    _difference(*_loop_arguments(target, reference, zigzag, ordered))
    return zigzag


def integrate(reference: Words, zigzag: Words, ordered: bool) -> Words:
    """See `deltastore.kernels.reference.integrate`."""
    target = np.empty_like(reference)
    _integrate(*_loop_arguments(reference, zigzag, target, ordered))
    return target


def _loop_arguments(first: Words, second: Words, out: Words, ordered: bool) -> tuple[Any, ...]:
    """Signed views; bits - 1; and the mask of what a set sign bit inverts (none if unordered)."""
    signed = np.dtype(f"i{first.itemsize}")
    top = 8 * first.itemsize - 1
    inverted = 2**top - 1 if ordered else 0
    return first.view(signed), second.view(signed), top, inverted, out.view(signed)


@compiled(*_SIGNATURES)
def _difference(target: Array, reference: Array, top: int, inverted: int, out: Array) -> None:
    for i in range(target.size):
        t = i64(target[i])
        r = i64(reference[i])
        d = (t ^ ((t >> 63) & inverted)) - (r ^ ((r >> 63) & inverted))
        out[i] = d << 1
        out[i] = out[i] ^ -((d >> top) & 1)


@compiled(*_SIGNATURES)
def _integrate(reference: Array, zigzag: Array, top: int, inverted: int, out: Array) -> None:
    half_mask = (i64(1) << top) - 1
    for i in range(reference.size):
        r = i64(reference[i])
        z = i64(zigzag[i])
        t = (r ^ ((r >> 63) & inverted)) + (((z >> 1) & half_mask) ^ -(z & 1))
        out[i] = t
        out[i] = out[i] ^ (-((t >> top) & 1) & inverted)
