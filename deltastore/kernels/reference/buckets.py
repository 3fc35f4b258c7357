"""Row scales, contexts, and sorting symbols by context (codecs-v1 section 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deltastore.kernels.models import CONTEXTS, SKIPPED

if TYPE_CHECKING:
    import numpy.typing as npt

    from deltastore.kernels.models import WordModel

    Words = npt.NDArray[np.unsignedinteger[Any]]
    Bytes = npt.NDArray[np.uint8]
    Counts = npt.NDArray[np.int64]

__all__ = ["contexts", "gather", "row_scales", "scatter"]


def row_scales(zigzag: Words, reference: Words, row: int, model: WordModel) -> Bytes:
    """How large each row's change is: q of codecs-v1 5.2, 0 for rows without any.

    Args:
        zigzag: differences, one block.
        reference: as many words.
        row: words per row; the last row has the rest.
        model: of the dtype.

    Returns:
        One byte per row.
    """
    change = _rows(_magnitudes(zigzag, model.cap), row)
    exponent = _rows(_exponents(reference, model), row)
    changed = change > 0
    top = np.where(changed, exponent, 0).max(axis=1)
    shift = np.clip(exponent - top[:, None] + 24, 0, 24)
    total = (change << shift).sum(axis=1)
    count = np.full(len(total), row)
    count[-1] = len(zigzag) - row * (len(total) - 1)
    scale = _twice_log2(total / count) + 2 * (top - 24) - 2 * model.bias + 180
    return np.where(total > 0, np.clip(scale, 0, 254) + 1, 0).astype(np.uint8)


def _magnitudes(zigzag: Words, cap: int) -> Counts:
    halves = np.right_shift(zigzag.astype(np.int64) + 1, 1)
    return np.minimum(halves, cap)


def _exponents(reference: Words, model: WordModel) -> Counts:
    field: Counts = reference.astype(np.int64) >> model.mantissa_bits & model.exponent_mask
    return np.maximum(field, model.least_exponent)


def _rows(values: Counts, row: int) -> Counts:
    """The last row is filled up with zeros."""
    return np.pad(values, (0, -len(values) % row)).reshape(-1, row)


def _twice_log2(ratio: npt.NDArray[np.float64]) -> Counts:
    """2 log2 rounded to an integer, from the bits of the double."""
    fraction, exponent = np.frexp(ratio)
    above = (fraction >= 0.5946035575013605) + (fraction >= 0.8408964152537145).astype(np.int64)
    return 2 * exponent.astype(np.int64) - 2 + above


def contexts(
    scales: Bytes, reference: Words, base: Words | None, row: int, model: WordModel
) -> tuple[Bytes, Counts]:
    """What predicts the size of each word's difference.

    Args:
        scales: one per row.
        reference: one block of words.
        base: as many; words that differ from it have contexts of their own.
        row: words per row.
        model: of the dtype.

    Returns:
        Context per word, or `SKIPPED` in unchanged rows; and how many words have each, of
        length `CONTEXTS + 1`.
    """
    scale = np.repeat(scales.astype(np.int64), row)[: len(reference)]
    level = scale - 161 + 2 * model.bias - 2 * _exponents(reference, model)
    context = np.clip(level, 0, 63)
    if base is not None:
        context += 64 * (reference != base)
    context[scale == 0] = SKIPPED
    return context.astype(np.uint8), np.bincount(context, minlength=CONTEXTS + 1).astype(np.int64)


def scatter(
    zigzag: Words, context: Bytes, counts: Counts, shifts: Bytes
) -> tuple[Bytes, Bytes, npt.NDArray[np.uint16]]:
    """Symbols sorted by context, low bits sorted by their number, and escapes.

    Args:
        zigzag: differences of at most 16 bits.
        context: of each word, from `contexts`.
        counts: how often each occurs.
        shifts: low bits to split off, per context.

    Returns:
        Symbols; low parts of words that have any; high parts of words whose symbol is 255 (none
        when words are bytes).
    """
    kept = context != SKIPPED
    shift = shifts[context]
    high = zigzag >> shift
    symbols = np.minimum(high, 255).astype(np.uint8)
    order = np.argsort(context, kind="stable")[: counts[:SKIPPED].sum()]
    low = (zigzag - (high << shift)).astype(np.uint8)
    with_low = np.flatnonzero(kept & (shift > 0))
    by_shift = with_low[np.argsort(shift[with_low], kind="stable")]
    escaped = kept & (high >= 255) if zigzag.itemsize > 1 else np.zeros(len(zigzag), bool)
    return symbols[order], low[by_shift], high[escaped].astype(np.uint16)


def gather(
    context: Bytes,
    counts: Counts,
    shifts: Bytes,
    symbols: Bytes,
    lows: Bytes,
    escapes: npt.NDArray[np.uint16],
    word_bytes: int,
) -> Words:
    """Undo `scatter`. The caller has checked that all lengths fit `counts` and `symbols`."""
    order = np.argsort(context, kind="stable")[: counts[:SKIPPED].sum()]
    high = np.zeros(len(context), np.uint32)
    high[order] = symbols
    if word_bytes > 1:
        high[high == 255] = escapes
    shift = shifts[context]
    low = np.zeros(len(context), np.uint32)
    with_low = np.flatnonzero((context != SKIPPED) & (shift > 0))
    low[with_low[np.argsort(shift[with_low], kind="stable")]] = lows
    return (high << shift | low).astype(f"u{word_bytes}")
