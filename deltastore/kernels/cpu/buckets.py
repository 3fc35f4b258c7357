"""Row scales, contexts, and sorting symbols by context (codecs-v1 section 5.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import types

from deltastore.kernels.cpu.compiling import (
    Array,
    compiled,
    f64,
    i32,
    i64,
    inlined,
    readable,
    u8,
    writable,
)
from deltastore.kernels.models import CONTEXTS, SKIPPED

if TYPE_CHECKING:
    import numpy.typing as npt

    from deltastore.kernels.models import WordModel

    Words = npt.NDArray[np.unsignedinteger[Any]]
    Bytes = npt.NDArray[np.uint8]
    Counts = npt.NDArray[np.int64]
    Escapes = npt.NDArray[np.uint16]

__all__ = ["contexts", "gather", "row_scales", "scatter"]

_WIDTHS = ("uint8", "uint16")
_INT = types.int64
_READ_U8 = readable("uint8")
_WRITE_U8 = writable("uint8")
_WRITE_U16 = writable("uint16")


def row_scales(zigzag: Words, reference: Words, row: int, model: WordModel) -> Bytes:
    """See `deltastore.kernels.reference.row_scales`."""
    scales = np.zeros(-(-zigzag.size // row), np.uint8)
    _row_scales(zigzag, reference, row, _settings(model, 180 - 48 - 2 * model.bias), scales)
    return scales


def contexts(
    scales: Bytes, reference: Words, base: Words | None, row: int, model: WordModel
) -> tuple[Bytes, Counts]:
    """See `deltastore.kernels.reference.contexts`."""
    context = np.empty(reference.size, np.uint8)
    _contexts(scales, reference, row, _settings(model, 2 * model.bias - 161), context)
    if base is not None:
        _mark_touched(reference, base, context)
    counts = np.zeros(4 * (CONTEXTS + 1), np.int64)
    _count(context, CONTEXTS + 1, counts)
    return context, counts.reshape(4, -1).sum(axis=0)


def scatter(
    zigzag: Words, context: Bytes, counts: Counts, shifts: Bytes
) -> tuple[Bytes, Bytes, Escapes]:
    """See `deltastore.kernels.reference.scatter`."""
    kept = counts[:SKIPPED]
    symbols = np.empty(kept.sum(), np.uint8)
    lows = np.empty(kept[shifts[:SKIPPED] > 0].sum(), np.uint8)
    escapes = np.empty(symbols.size if zigzag.itemsize > 1 else 0, np.uint16)
    found = _scatter(zigzag, context, shifts, _cursors(kept, shifts), symbols, lows, escapes)
    return symbols, lows, escapes[:found].copy()


def gather(
    context: Bytes,
    counts: Counts,
    shifts: Bytes,
    symbols: Bytes,
    lows: Bytes,
    escapes: Escapes,
    word_bytes: int,
) -> Words:
    """See `deltastore.kernels.reference.gather`."""
    kept = counts[:SKIPPED]
    words: Words = np.empty(context.size, f"u{word_bytes}")
    _gather(context, shifts, _cursors(kept, shifts), symbols, lows, escapes, words)
    return words


def _settings(model: WordModel, origin: int) -> Counts:
    """What the loops need of a model, in the order in which they unpack it."""
    shape = model.mantissa_bits, model.exponent_mask, model.least_exponent
    return np.array([*shape, model.cap, origin], np.int64)


def _cursors(kept: Counts, shifts: Bytes) -> Counts:
    """Where the symbols of each context begin; then where the low parts of each shift do."""
    per_shift = np.bincount(shifts[:SKIPPED], weights=kept, minlength=9).astype(np.int64)
    per_shift[0] = 0
    return np.concatenate([np.cumsum(kept) - kept, np.cumsum(per_shift) - per_shift])


@compiled(*[(readable(w), readable(w), _INT, readable("int64"), _WRITE_U8) for w in _WIDTHS])
def _row_scales(zigzag: Array, reference: Array, row: int, settings: Array, scales: Array) -> None:
    mantissa_bits, exponent_mask, least_exponent, cap, origin = settings
    for index in range(scales.size):
        start = index * row
        stop = min(start + row, zigzag.size)
        top = i32(0)
        for i in range(start, stop):
            field = i32(i32(reference[i]) >> i32(mantissa_bits))
            exponent = max(field & i32(exponent_mask), i32(least_exponent))
            top = max(top, exponent if zigzag[i] != 0 else i32(0))
        total = i64(0)
        for i in range(start, stop):
            z = i64(zigzag[i])
            exponent = max((i64(reference[i]) >> mantissa_bits) & exponent_mask, least_exponent)
            shift = min(max(exponent - i64(top) + 24, 0), 24)
            total += min((z >> 1) + (z & 1), cap) << shift
        if total > 0:
            scale = _twice_log2(f64(total) / f64(stop - start)) + 2 * i64(top) + origin
            scales[index] = min(max(scale, 0), 254) + 1


@inlined
def _twice_log2(ratio: Array) -> Array:
    """2 log2 rounded to an integer; halving and doubling are exact."""
    exponent = i64(0)
    while ratio >= 1.0:
        ratio *= 0.5
        exponent += 1
    while ratio < 0.5:
        ratio *= 2.0
        exponent -= 1
    above = i64(ratio >= 0.5946035575013605) + i64(ratio >= 0.8408964152537145)
    return 2 * exponent - 2 + above


@compiled(*[(_READ_U8, readable(w), _INT, readable("int64"), _WRITE_U8) for w in _WIDTHS])
def _contexts(scales: Array, reference: Array, row: int, settings: Array, context: Array) -> None:
    mantissa_bits, exponent_mask, least_exponent, _, origin = settings
    for index in range(scales.size):
        start = index * row
        stop = min(start + row, reference.size)
        if scales[index] == 0:
            for i in range(start, stop):
                context[i] = SKIPPED
            continue
        level = i32(scales[index] + origin)
        for i in range(start, stop):
            field = i32(i32(reference[i]) >> i32(mantissa_bits))
            exponent = max(field & i32(exponent_mask), i32(least_exponent))
            context[i] = min(max(level - i32(2) * exponent, i32(0)), i32(63))


@compiled(*[(readable(w), readable(w), _WRITE_U8) for w in _WIDTHS])
def _mark_touched(reference: Array, base: Array, context: Array) -> None:
    for i in range(context.size):
        touched = u8(64 if reference[i] != base[i] else 0)
        context[i] |= touched if context[i] != SKIPPED else u8(0)


@compiled((_READ_U8, _INT, writable("int64")))
def _count(context: Array, width: int, counts: Array) -> None:
    """Four tables in turn: one would wait for its own last store on runs of one context."""
    whole = context.size // 4 * 4
    for i in range(0, whole, 4):
        counts[context[i]] += 1
        counts[width + context[i + 1]] += 1
        counts[2 * width + context[i + 2]] += 1
        counts[3 * width + context[i + 3]] += 1
    for i in range(whole, context.size):
        counts[context[i]] += 1


@compiled(
    *[
        (readable(w), _READ_U8, _READ_U8, writable("int64"), _WRITE_U8, _WRITE_U8, _WRITE_U16)
        for w in _WIDTHS
    ]
)
def _scatter(
    zigzag: Array,
    context: Array,
    shifts: Array,
    cursors: Array,
    symbols: Array,
    lows: Array,
    escapes: Array,
) -> int:
    found = 0
    for i in range(context.size):
        c = context[i]
        if c == SKIPPED:
            continue
        shift = i64(shifts[c])
        z = i64(zigzag[i])
        high = z >> shift
        symbols[cursors[c]] = min(high, 255)
        cursors[c] += 1
        if shift > 0:
            lows[cursors[SKIPPED + shift]] = z & ((1 << shift) - 1)
            cursors[SKIPPED + shift] += 1
        if high >= 255 and escapes.size > 0:
            escapes[found] = high
            found += 1
    return found


@compiled(
    *[
        (_READ_U8, _READ_U8, writable("int64"), _READ_U8, _READ_U8, readable("uint16"), writable(w))
        for w in _WIDTHS
    ]
)
def _gather(
    context: Array,
    shifts: Array,
    cursors: Array,
    symbols: Array,
    lows: Array,
    escapes: Array,
    words: Array,
) -> None:
    found = 0
    for i in range(context.size):
        c = context[i]
        if c == SKIPPED:
            words[i] = 0
            continue
        shift = i64(shifts[c])
        high = i64(symbols[cursors[c]])
        cursors[c] += 1
        if high == 255 and escapes.size > 0:
            high = i64(escapes[found])
            found += 1
        low = i64(0)
        if shift > 0:
            low = i64(lows[cursors[SKIPPED + shift]])
            cursors[SKIPPED + shift] += 1
        words[i] = high << shift | low
