"""Float words to single or double precision and back, rounded to nearest even, by integers.

Sources: IEEE 754-2019 sections 3.4 and 4.3; the 8-bit types: OCP 8-bit Floating Point
Specification 1.0 (E4M3, E5M2) and arXiv 2206.02915 (FNUZ).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from deltastore.specs import Dtype

    Words = npt.NDArray[np.unsignedinteger[Any]]

__all__ = ["Wide", "narrowed", "rounded", "step", "widened"]

Wide: TypeAlias = "npt.NDArray[np.float32] | npt.NDArray[np.float64]"

_INFINITE_E5M2 = 0x7C


def widened(words: Words, dtype: Dtype) -> Wide:
    """The values of float words, exactly.

    Args:
        words: bits of a float dtype.
        dtype: theirs.

    Returns:
        float64 for F64, float32 for all others.
    """
    if dtype.name == "BF16":
        high = np.left_shift(words, 16, dtype=np.uint32)
        return high.view(np.float32)
    if dtype.name == "F16":
        return words.view(np.float16).astype(np.float32)
    if dtype.bits == 8:
        return _byte_values(dtype.name)[words]
    return words.view(np.float64) if dtype.name == "F64" else words.view(np.float32)


def rounded(values: Wide, dtype: Dtype) -> Words:
    """The nearest words of a float dtype, ties to even; `values` hold no NaN.

    Overflow gives infinity where the dtype has one, else the largest finite value.
    """
    if dtype.name == "BF16":
        bits = values.view(np.uint32)
        return ((bits + (0x7FFF + (bits >> 16 & 1))) >> 16).astype(np.uint16)
    if dtype.name == "F16":
        with np.errstate(over="ignore", under="ignore"):
            return values.astype(np.float16).view(np.uint16)
    if dtype.bits == 8:
        return _rounded_bytes(values, dtype)
    return values.view(np.uint64 if dtype.name == "F64" else np.uint32)


def narrowed(values: npt.NDArray[np.float64], dtype: Dtype) -> Words:
    """The nearest words of a float dtype to doubles, ties to even, rounded once.

    By way of single precision rounded to odd, which keeps what a second rounding needs to know
    (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", IEEE TC 57(4), 2008).

    Args:
        values: no NaN.
        dtype: to round to; overflow as in `rounded`.
    """
    if dtype.name == "BF16":
        return rounded(_rounded_to_odd(values), dtype)
    if dtype.name == "F32":
        with np.errstate(over="ignore", under="ignore"):
            return values.astype(np.float32).view(np.uint32)
    return rounded(values, dtype)


def _rounded_to_odd(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Exact values as they are; others cut off toward zero, with their last bit set."""
    with np.errstate(over="ignore", under="ignore"):
        nearest = values.astype(np.float32)
    bits = nearest.view(np.uint32)
    back = nearest.astype(np.float64)
    cut = bits - (np.abs(back) > np.abs(values))
    odd: npt.NDArray[np.uint32] = (cut | (back != values)).astype(np.uint32)
    return odd.view(np.float32)


def step(words: Words, signs: npt.NDArray[np.int8], scale: int, dtype: Dtype) -> Words:
    """round(wide(w) + c*t), or the same bits where w is not finite (codecs-v1 section 7).

    Args:
        words: bits of a float dtype.
        signs: t of each word: -1 or 1.
        scale: the bits of c as IEEE single.
        dtype: of the words.
    """
    size = np.array([scale], np.uint32).view(np.float32)
    wide = widened(words, dtype)
    finite = np.isfinite(wide)
    move = signs * size.astype(wide.dtype)
    with np.errstate(over="ignore", under="ignore"):
        moved = np.where(finite, wide, 0) + move.astype(wide.dtype)
    return np.where(finite, rounded(moved.astype(wide.dtype), dtype), words)


@lru_cache(maxsize=8)
def _byte_values(name: str) -> npt.NDArray[np.float32]:
    """What each of the 256 bytes of an 8-bit float means."""
    exponent_bits, mantissa_bits = (4, 3) if "E4M3" in name else (5, 2)
    fnuz = name.endswith("FNUZ")
    bias = 2 ** (exponent_bits - 1) - (0 if fnuz else 1)
    byte = np.arange(256)
    field = byte >> mantissa_bits & (2**exponent_bits - 1)
    mantissa = byte & (2**mantissa_bits - 1)
    significand = mantissa + np.where(field > 0, 2**mantissa_bits, 0)
    value = np.ldexp(significand.astype(np.float64), np.maximum(field, 1) - bias - mantissa_bits)
    if fnuz:
        value[0x80] = np.nan
    elif exponent_bits == 5:
        value[field == 31] = np.where(mantissa[field == 31] == 0, np.inf, np.nan)
    else:
        value[byte & 0x7F == 0x7F] = np.nan
    values: npt.NDArray[np.float64] = np.where(byte & 0x80, -value, value)
    return values.astype(np.float32)


@lru_cache(maxsize=8)
def _byte_ends(name: str) -> npt.NDArray[np.float64]:
    """Midpoints between neighboring magnitudes; where there is an infinity, also before it."""
    values = _byte_values(name)[:128].astype(np.float64)
    values = values[np.isfinite(values)]
    if name == "F8_E5M2":
        values = np.append(values, 2.0**16)
    return (values[1:] + values[:-1]) / 2


def _rounded_bytes(values: Wide, dtype: Dtype) -> Words:
    middle = _byte_ends(dtype.name)
    size = np.abs(values.astype(np.float64))
    # codes ascend with magnitude: the number of midpoints below, and at a tie the even code
    below = np.searchsorted(middle, size, side="left")
    tie = np.isin(size, middle) & (below % 2 == 1)
    code = (below + tie).astype(np.uint8)
    negative = np.signbit(values)
    if dtype.name.endswith("FNUZ"):
        negative &= code > 0
    signed: Words = np.where(negative, code | 0x80, code).astype(np.uint8)
    return signed
