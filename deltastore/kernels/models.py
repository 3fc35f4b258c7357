"""What kernels need to know of a dtype, as plain integers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deltastore.specs import Dtype

__all__ = ["CONTEXTS", "SKIPPED", "WordModel", "word_model"]

CONTEXTS = 128
"""Contexts of exact/1: 64 levels, twice when there is a preview."""

SKIPPED = 128
"""Stands in place of a context for words of unchanged rows."""

_SINGLE = (8, 23)


@dataclass(frozen=True, slots=True)
class WordModel:
    """Codecs-v1 3 and 5.2 for one dtype.

    Attributes:
        bits: of a word.
        ordered: whether words are sign and magnitude, as floats are.
        mantissa_bits: explicit ones of a float, else 0.
        exponent_mask: of a float's shifted exponent field, else 0.
        least_exponent: that of zero and subnormals: 1 for floats, 0 for others.
        bias: 2^(E-1) - 1 for floats, else 0.
        cap: a difference counts at most this much in a row's scale.
        max_shift: most low bits that are kept apart from symbols.
    """

    bits: int
    ordered: bool
    mantissa_bits: int
    exponent_mask: int
    least_exponent: int
    bias: int
    cap: int
    max_shift: int


@lru_cache(maxsize=64)
def word_model(dtype: Dtype) -> WordModel:
    """The model of a dtype's words; those of C64 are singles."""
    bits = 8 * dtype.word_bytes
    exponent, mantissa = dtype.exponent_bits, dtype.mantissa_bits
    if dtype.kind == "complex":
        exponent, mantissa = _SINGLE
    if exponent == 0:
        max_shift = 8 if bits == 16 else 0
        return WordModel(bits, False, 0, 0, 0, 0, 2 ** (bits - 1) - 1, max_shift)
    return WordModel(
        bits=bits,
        ordered=True,
        mantissa_bits=mantissa,
        exponent_mask=2**exponent - 1,
        least_exponent=1,
        bias=2 ** (exponent - 1) - 1,
        cap=2 ** (mantissa + 1) - 1,
        max_shift=max(0, mantissa - 7) if bits == 16 else 0,
    )
