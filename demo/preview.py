"""The ternary preview of a fine-tune, in plain numpy: what the demo expects of the store's own.

Per tensor of at least 16,384 elements, the 5 % of the elements with the largest change keep a
sign and share one magnitude, everything else keeps the base's bits; smaller tensors are exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Bits = npt.NDArray[np.uint16]
    Floats = npt.NDArray[np.float32]

SMALLEST = 16_384
DENSITY = 0.05


def widen(bits: Bits) -> Floats:
    """Return the float32 values of bfloat16 bits of any shape."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def narrow(values: Floats) -> Bits:
    """Round finite float32 values of any shape to bfloat16 bits, ties to even."""
    wide = np.ascontiguousarray(values).view(np.uint32)
    odd = (wide >> np.uint32(16)) & np.uint32(1)
    return ((wide + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)


def preview_tensor(base: Bits, exact: Bits) -> Bits:
    """Return the bits of one tensor's preview.

    Args:
        base: bfloat16 bits, any shape.
        exact: bfloat16 bits of the same shape.
    """
    if base.size < SMALLEST:
        return exact.copy()
    start = widen(base).ravel()
    delta = widen(exact).ravel() - start
    kept = _largest(np.abs(delta), round(DENSITY * delta.size))
    scale = np.abs(delta[kept]).mean(dtype=np.float64).astype(np.float32)
    result = base.copy().ravel()
    result[kept] = narrow(start[kept] + scale * np.sign(delta[kept]))
    return result.reshape(base.shape)


def _largest(magnitudes: Floats, count: int) -> npt.NDArray[np.intp]:
    """Return the indices of the `count` largest of (n,) values; ties go to the lowest index."""
    return np.argsort(-magnitudes, kind="stable")[:count]


def preview_error(base: dict[str, Bits], exact: dict[str, Bits], shown: dict[str, Bits]) -> float:
    """Return |exact - preview| / |exact - base| over the tensors that have a ternary preview."""
    names = [name for name, bits in base.items() if bits.size >= SMALLEST]
    missed = sum(squared_distance(exact[name], shown[name]) for name in names)
    moved = sum(squared_distance(exact[name], base[name]) for name in names)
    return float(np.sqrt(missed / moved))


def relative_change(base: dict[str, Bits], exact: dict[str, Bits]) -> float:
    """Return |exact - base| / |base|, 2-norms over all tensors."""
    moved = sum(squared_distance(exact[name], base[name]) for name in base)
    size = sum(float(np.square(widen(bits), dtype=np.float64).sum()) for bits in base.values())
    return float(np.sqrt(moved / size))


def squared_distance(left: Bits, right: Bits) -> float:
    """Return the squared 2-norm of the difference of two tensors' values."""
    return float(np.square(widen(left) - widen(right), dtype=np.float64).sum())
