"""Which elements a preview keeps and by how much they move, block by block (codecs-v1 7.1).

Pass 1 is `count_block` on every block, then `plan_preview`; pass 2 is `preview_block` on every
block. Blocks may be counted and previewed in any order and by any thread: the plan is a function
of the counts in order of block.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from math import fsum
from typing import TYPE_CHECKING

import numpy as np

from deltastore.codecs.ternary import apply_steps
from deltastore.errors import UsageError
from deltastore.kernels.dispatch import Family, kernels
from deltastore.kernels.rounding import widened

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from deltastore.codecs.protocol import Words
    from deltastore.specs import Dtype

    Counts = npt.NDArray[np.int64]

__all__ = [
    "BlockCounts",
    "PreviewPlan",
    "count_block",
    "plan_preview",
    "preview_block",
    "squared_difference",
]


@dataclass(frozen=True, slots=True)
class BlockCounts:
    """A histogram of one block's differences: typically 30 kB, at most 400 kB.

    Attributes:
        first: key of the first entry.
        counts: elements per key, from `first` up.
        sums: of the lower 16 bits of their magnitudes.
        size: elements of the block, kept or not.
    """

    first: int
    counts: npt.NDArray[np.uint32]
    sums: npt.NDArray[np.int64]
    size: int


@dataclass(frozen=True, slots=True)
class PreviewPlan:
    """Everything that `preview_block` needs, for all blocks of one tensor.

    Attributes:
        scale: step size, as the bits of an IEEE single.
        density: as asked for.
        threshold: key above which all elements are kept.
        quotas: per block, how many of those at the threshold are kept.
        kept: elements that are kept, in all blocks.
    """

    scale: int
    density: str
    threshold: int
    quotas: tuple[int, ...]
    kept: int

    @property
    def parameters(self) -> dict[str, str | int]:
        """Of the representation `ternary/1`."""
        return {"density": self.density, "scale": f"{self.scale:08x}"}


def count_block(target: Words, base: Words, dtype: Dtype, *, family: Family = "cpu") -> BlockCounts:
    """Pass 1: how large the differences of a block are.

    Args:
        target: words of a float dtype.
        base: as many.
        dtype: of both.
        family: the kernels that run.
    """
    counts, sums = kernels(family).magnitude_counts(_single_delta(target, base, dtype))
    used = np.flatnonzero(counts)
    first, last = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 0)
    narrow = counts[first:last].astype(np.uint32)
    return BlockCounts(first, narrow, sums[first:last].copy(), len(target))


def plan_preview(blocks: Sequence[BlockCounts], density: str) -> PreviewPlan | None:
    """Threshold, quotas and scale for one tensor.

    Args:
        blocks: counts of all its blocks, in order.
        density: the fraction to keep, as decimal text above 0 and at most 1.

    Returns:
        None if nothing differs by a finite amount, or the density keeps nothing.

    Raises:
        UsageError: `density` is no such number.
    """
    counts, sums = _totals(blocks)
    wanted = min(_wanted(density, sum(block.size for block in blocks)), int(counts.sum()))
    if wanted == 0:
        return None
    above = counts.sum() - np.cumsum(counts)
    threshold = int(np.argmax(above <= wanted))
    ties = wanted - int(above[threshold])
    scale = _scale(counts, sums, threshold, ties)
    return PreviewPlan(scale, density, threshold, _quotas(blocks, threshold, ties), wanted)


def _totals(blocks: Sequence[BlockCounts]) -> tuple[Counts, Counts]:
    """Of all blocks, from key 0 up."""
    end = max((block.first + len(block.counts) for block in blocks), default=0)
    counts, sums = np.zeros(end, np.int64), np.zeros(end, np.int64)
    for block in blocks:
        own = slice(block.first, block.first + len(block.counts))
        counts[own] += block.counts
        sums[own] += block.sums
    return counts, sums


def preview_block(
    target: Words,
    base: Words,
    dtype: Dtype,
    plan: PreviewPlan,
    block: int,
    *,
    family: Family = "cpu",
) -> Words:
    """Pass 2: the preview of one block, which `ternary/1` encodes without loss.

    Args:
        target: words of a float dtype.
        base: as many.
        dtype: of both.
        plan: of the tensor.
        block: which of its blocks this is.
        family: the kernels that run.
    """
    delta = _single_delta(target, base, dtype)
    places, signs = kernels(family).select(delta, plan.threshold, plan.quotas[block])
    return apply_steps(base, places, signs, plan.scale, dtype)


def squared_difference(a: Words, b: Words, dtype: Dtype, *, family: Family = "cpu") -> float:
    """|a - b|^2 in double precision over the elements whose difference is finite.

    Args:
        a: words of a float dtype.
        b: as many.
        dtype: of both.
        family: the kernels that run.
    """
    return kernels(family).squared_sum(_delta(a, b, dtype))


def _delta(a: Words, b: Words, dtype: Dtype) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
    with np.errstate(invalid="ignore", over="ignore"):
        return widened(a, dtype) - widened(b, dtype)


def _single_delta(target: Words, base: Words, dtype: Dtype) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", under="ignore"):
        return _delta(target, base, dtype).astype(np.float32, copy=False)


def _wanted(density: str, size: int) -> int:
    try:
        fraction = Decimal(density)
    except InvalidOperation:
        fraction = Decimal(0)
    if not fraction.is_finite() or not 0 < fraction <= 1:
        raise UsageError(
            f"density {density!r} is not a number above 0 and at most 1",
            hint="0.05 keeps 5 % of the elements",
        )
    return int((fraction * size).to_integral_value(ROUND_HALF_EVEN))


def _scale(counts: Counts, sums: Counts, threshold: int, ties: int) -> int:
    """Mean magnitude of what is kept, as the bits of a single."""
    keys = np.arange(threshold, len(counts))
    count, low = counts[threshold:], sums[threshold:]
    # key << 16 | low is a single: the value of key << 16, and low units in the last place
    start = (keys << 16).astype(np.uint32).view(np.float32).astype(np.float64)
    unit = np.ldexp(1.0, np.maximum(keys >> 7, 1) - 150)
    total = start * count + unit * low
    of_ties = ties * (float(total[0]) / int(count[0])) if ties else 0.0
    kept = ties + int(count[1:].sum())
    mean = fsum([of_ties, *total[1:].tolist()]) / kept
    return int(np.array([mean], np.float64).astype(np.float32).view(np.uint32)[0])


def _quotas(blocks: Sequence[BlockCounts], threshold: int, ties: int) -> tuple[int, ...]:
    """The first ties in order of block."""
    quotas = []
    for block in blocks:
        index = threshold - block.first
        own = int(block.counts[index]) if 0 <= index < len(block.counts) else 0
        quotas.append(min(own, ties))
        ties -= quotas[-1]
    return tuple(quotas)
