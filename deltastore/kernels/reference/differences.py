"""Ordered integers, their differences, and zigzag (codecs-v1 section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.unsignedinteger[Any]]

__all__ = ["difference", "integrate", "order"]


def difference(target: Words, reference: Words, ordered: bool) -> Words:
    """The z of each word: 0 where the bits are equal, small where the values are near.

    Args:
        target: words.
        reference: as many words of the same type.
        ordered: whether words are sign and magnitude.
    """
    signed = order(target, ordered) - order(reference, ordered)
    bits = 8 * signed.itemsize
    return ((signed << 1) ^ (signed >> (bits - 1))).view(target.dtype)


def integrate(reference: Words, zigzag: Words, ordered: bool) -> Words:
    """The target of which `zigzag` is the difference to `reference`."""
    half = (zigzag >> 1).view(_signed(zigzag))
    sign = (zigzag & 1).view(_signed(zigzag))
    return order((order(reference, ordered) + (half ^ -sign)).view(reference.dtype), ordered).view(
        reference.dtype
    )


def order(words: Words, ordered: bool) -> npt.NDArray[np.signedinteger[Any]]:
    """Integers in the order of the values: sign and magnitude to two's complement and back.

    Args:
        words: of any width.
        ordered: whether words are sign and magnitude; if not they are only seen as signed.
    """
    signed = words.view(_signed(words))
    if not ordered:
        return signed
    bits = 8 * signed.itemsize
    ordered_words: npt.NDArray[np.signedinteger[Any]] = signed & (2 ** (bits - 1) - 1)
    return ordered_words ^ (signed >> (bits - 1))


def _signed(words: Words) -> np.dtype[Any]:
    return np.dtype(f"i{words.itemsize}")
