"""`exact/1`: differences to a reference, sorted by what predicts their size (codecs-v1 5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from deltastore.codecs.blocks import word_type
from deltastore.codecs.inputs import check_inputs
from deltastore.codecs.planes import join_planes, split_planes
from deltastore.codecs.stream_reader import StreamReader
from deltastore.codecs.streams import write_streams
from deltastore.errors import CorruptError
from deltastore.kernels.dispatch import Family, kernels
from deltastore.kernels.models import SKIPPED, word_model
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from deltastore.codecs.protocol import Parameters, Words
    from deltastore.codecs.streams import Symbols
    from deltastore.kernels.dispatch import Kernels
    from deltastore.kernels.models import WordModel
    from deltastore.specs import Dtype, TensorSpec

__all__ = ["Exact", "exact_parameters"]

_PACKED_BITS = (4, 6)
_LEAST_ROW = 64
_LEAST_BUCKET = 2048
_NO_ROWS = np.empty(0, np.uint8)


def exact_parameters(spec: TensorSpec) -> dict[str, str | int]:
    """`{"row": n}`: words of the trailing dimensions that share one scale, at least 64."""
    dtype = DTYPES[spec.dtype]
    row = dtype.bits // 8 // dtype.word_bytes
    for size in reversed(spec.shape):
        if row >= _LEAST_ROW:
            break
        row *= size
    return {"row": max(1, row)}


@dataclass(frozen=True, slots=True)
class Exact:
    """A block as its difference to a reference; with two inputs, over a preview of itself.

    Attributes:
        family: the kernels that run.
    """

    family: Family = "cpu"

    @property
    def name(self) -> str:
        """As stored in representations."""
        return "exact/1"

    @property
    def input_counts(self) -> tuple[int, ...]:
        """[reference], or [preview, base]."""
        return (1, 2)

    def supports(self, dtype: Dtype) -> bool:
        """All but packed dtypes, whose words hold parts of several elements."""
        return dtype.bits not in _PACKED_BITS

    def encode(
        self, block: Words, inputs: Sequence[Words], dtype: Dtype, parameters: Parameters
    ) -> bytes:
        """The payload of one block; empty when it is as the first input."""
        check_inputs(inputs, self.input_counts, len(block), dtype, what=self.name)
        if np.array_equal(block, inputs[0]):
            return b""
        run, model = kernels(self.family), word_model(dtype)
        row = min(_row(parameters), len(block))
        zigzag = run.difference(block, inputs[0], model.ordered)
        if model.bits > 16:
            return write_streams(_changed_planes(zigzag, row), run)
        payload = write_streams(_bucket_streams(zigzag, inputs, row, model, run), run)
        if len(payload) <= block.nbytes:
            return payload
        # nothing in common: escapes would make the block larger than it is
        return write_streams([_NO_ROWS, *split_planes(zigzag)], run)

    def decode(
        self,
        payload: bytes,
        words: int,
        inputs: Sequence[Words],
        dtype: Dtype,
        parameters: Parameters,
    ) -> Words:
        """The block back.

        Raises:
            CorruptError: the payload or the parameters are damaged.
        """
        check_inputs(inputs, self.input_counts, words, dtype, what=self.name)
        if not payload:
            return inputs[0].copy()
        if words == 0:
            raise CorruptError("exact/1: a payload of no words")
        run, model = kernels(self.family), word_model(dtype)
        row = min(_row(parameters), words)
        reader = StreamReader(payload, run, self.name)
        scales = _take_scales(reader, -(-words // row))
        if len(scales) == 0:
            zigzag = _take_planes(reader, words, word_type(dtype))
        elif model.bits > 16:
            zigzag = _take_changed_planes(reader, scales, words, row, word_type(dtype))
        else:
            zigzag = _take_buckets(reader, scales, inputs, row, model, run)
        reader.finish()
        return run.integrate(inputs[0], zigzag, model.ordered)


def _row(parameters: Parameters) -> int:
    row = parameters.get("row")
    if not isinstance(row, int) or isinstance(row, bool) or row < 1:
        raise CorruptError(f"exact/1: parameter row is {row!r}, not a positive integer")
    return row


def _take_scales(reader: StreamReader, rows: int) -> Symbols:
    """One byte per row, or none at all."""
    scales = reader.take_at_most(rows)
    if len(scales) not in {0, rows}:
        raise CorruptError(f"exact/1: {len(scales)} scales for {rows} rows")
    return scales


def _take_planes(reader: StreamReader, words: int, kind: np.dtype[Any]) -> Words:
    return join_planes([reader.take(words) for _ in range(kind.itemsize)], kind)


def _changed_planes(zigzag: Words, row: int) -> list[Symbols]:
    flags = np.logical_or.reduceat(zigzag != 0, np.arange(0, len(zigzag), row))
    changed = zigzag if flags.all() else zigzag[_in_changed_rows(flags, len(zigzag), row)]
    return [flags.astype(np.uint8), *split_planes(changed)]


def _take_changed_planes(
    reader: StreamReader, flags: Symbols, words: int, row: int, kind: np.dtype[Any]
) -> Words:
    if flags.max() > 1:
        raise CorruptError("exact/1: a row is neither changed nor unchanged")
    place = _in_changed_rows(flags.astype(bool), words, row)
    count = int(np.count_nonzero(place))
    changed = _take_planes(reader, count, kind)
    if count == words:
        return changed
    zigzag = np.zeros(words, kind)
    zigzag[place] = changed
    return zigzag


def _in_changed_rows(flags: npt.NDArray[np.bool_], words: int, row: int) -> npt.NDArray[np.bool_]:
    return np.repeat(flags, row)[:words]


@lru_cache(maxsize=32)
def _shifts(model: WordModel) -> npt.NDArray[np.uint8]:
    """Low bits that words of each context keep apart; the last entry is for skipped words."""
    level = np.arange(SKIPPED + 1) % 64
    shifts = np.clip((level - 28) // 2, 0, model.max_shift).astype(np.uint8)
    shifts[SKIPPED] = 0
    shifts.flags.writeable = False
    return shifts


def _bucket_streams(
    zigzag: Words, inputs: Sequence[Words], row: int, model: WordModel, run: Kernels
) -> list[Symbols]:
    scales = run.row_scales(zigzag, inputs[0], row, model)
    base = inputs[1] if len(inputs) > 1 else None
    context, counts = run.contexts(scales, inputs[0], base, row, model)
    shifts = _shifts(model)
    symbols, lows, escapes = run.scatter(zigzag, context, counts, shifts)
    streams = [scales]
    streams += [symbols[start:stop] for start, stop in _buckets(counts)]
    streams += [lows[start:stop] for start, stop in _low_bounds(counts, shifts)]
    return streams + (split_planes(escapes) if len(escapes) else [])


def _take_buckets(
    reader: StreamReader,
    scales: Symbols,
    inputs: Sequence[Words],
    row: int,
    model: WordModel,
    run: Kernels,
) -> Words:
    base = inputs[1] if len(inputs) > 1 else None
    context, counts = run.contexts(scales, inputs[0], base, row, model)
    shifts = _shifts(model)
    symbols = _joined([reader.take(stop - start) for start, stop in _buckets(counts)])
    lows = _joined([reader.take(stop - start) for start, stop in _low_bounds(counts, shifts)])
    escaped = int(np.count_nonzero(symbols == 255)) if model.bits > 8 else 0
    escapes = np.empty(0, np.uint16)
    if escaped:
        escapes = _take_planes(reader, escaped, np.dtype("<u2")).astype(np.uint16)
    return run.gather(context, counts, shifts, symbols, lows, escapes, model.bits // 8)


def _joined(parts: list[Symbols]) -> Symbols:
    return np.concatenate(parts) if parts else np.empty(0, np.uint8)


def _buckets(counts: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Where each stream of symbols begins and ends: whole contexts, at least 2,048 symbols."""
    start = stop = 0
    left = int(counts[:SKIPPED].sum())
    for count in counts[:SKIPPED].tolist():
        stop += count
        if stop - start >= _LEAST_BUCKET and left - stop >= _LEAST_BUCKET:
            yield start, stop
            start = stop
    if left > start:
        yield start, left


def _low_bounds(
    counts: npt.NDArray[np.int64], shifts: npt.NDArray[np.uint8]
) -> Iterator[tuple[int, int]]:
    """Where the low parts of each number of bits begin and end."""
    start = 0
    for bits in range(1, 9):
        count = int(counts[:SKIPPED][shifts[:SKIPPED] == bits].sum())
        if count:
            yield start, start + count
            start += count
