"""How large a delta between two tensors would be, judged from a few hundred words of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deltastore.codecs.blocks import as_words
from deltastore.ingest.entropies import bits_of_differences
from deltastore.kernels.reference.differences import difference
from deltastore.kernels.sketching import (
    LEAST_SIZE,
    PLAIN_SPANS,
    TURNED_SPANS,
    cells,
    sample,
    spans,
    transposed_sample,
)
from deltastore.kernels.views import converted
from deltastore.specs import DTYPES
from deltastore.storage.sketches import Sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deltastore.checkpoints.safetensors_header import TensorEntry
    from deltastore.checkpoints.source import SourceFile
    from deltastore.codecs.protocol import Words
    from deltastore.ids import Digest
    from deltastore.ingest.entropies import Estimates
    from deltastore.materialize.tensors import Bytes
    from deltastore.specs import Dtype, TensorSpec

__all__ = [
    "Sample",
    "Stack",
    "delta_bits",
    "dense_bits",
    "sample_source",
    "sketch_of",
    "stacked",
    "stored_sample",
    "transposed_source",
]

FAR_SPANS = 4
"""Places at which a source is sampled that is far away: each is a request."""

MATRIX = 2
"""Dimensions of what can be transposed."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Words of a tensor at the places of its shape.

    Attributes:
        dtype: of the tensor.
        shape: of the tensor.
        words: plain sample, one dimension.
        turned: of the transposed matrix; empty unless known.
    """

    dtype: Dtype
    shape: tuple[int, ...]
    words: Words
    turned: Words


@dataclass(frozen=True, slots=True)
class Stack:
    """Samples of several stored tensors of one dtype and shape.

    Attributes:
        dtype: of each.
        shape: of each.
        words: plain samples, (tensors, words).
        turned: of the transposed matrices, (tensors, words); no words unless known of all.
    """

    dtype: Dtype
    shape: tuple[int, ...]
    words: Words
    turned: Words


def is_sketched(spec: TensorSpec) -> bool:
    """Whether a tensor is large enough, and its elements are words."""
    dtype = DTYPES[spec.dtype]
    return spec.size >= LEAST_SIZE and dtype.bits == 8 * dtype.word_bytes


def sketch_of(digest: Digest, spec: TensorSpec, data: Bytes) -> Sketch | None:
    """The sketch of a tensor in memory; None where it has none."""
    if not is_sketched(spec):
        return None
    words = as_words(data.data, DTYPES[spec.dtype])
    turned = b""
    if len(spec.shape) == MATRIX:
        turned = transposed_sample(words, (spec.shape[0], spec.shape[1])).tobytes()
    return Sketch(digest, spec.dtype, spec.shape, sample(words, spec.shape).tobytes(), turned)


def sample_source(file: SourceFile, entry: TensorEntry) -> Sample | None:
    """The plain sample of a tensor of a source, read in few small pieces; None where too small."""
    spec = entry.spec
    if not is_sketched(spec):
        return None
    dtype = DTYPES[spec.dtype]
    size = dtype.word_bytes
    places = spans(spec.shape, FAR_SPANS if file.far else PLAIN_SPANS)
    parts = [(entry.begin + start * size, count * size) for start, count in places]
    words = as_words(b"".join(file.read_parts(parts)), dtype)
    return Sample(dtype, spec.shape, words, words[:0])


def transposed_source(file: SourceFile, entry: TensorEntry) -> Sample | None:
    """The plain sample of a source's matrix seen transposed, word by word; None of no such matrix.

    As many words as a plain sample has: four times what stored tensors have of their transposes.
    """
    spec = entry.spec
    if len(spec.shape) != MATRIX or not is_sketched(spec):
        return None
    shape, dtype = (spec.shape[1], spec.shape[0]), DTYPES[spec.dtype]
    size = dtype.word_bytes
    parts = [(entry.begin + (row * shape[0] + column) * size, size) for column, row in cells(shape)]
    words = as_words(b"".join(file.read_parts(parts)), dtype)
    return Sample(dtype, shape, words, words[:0])


def stored_sample(dtype: str, shape: tuple[int, ...], plain: bytes, turned: bytes) -> Sample | None:
    """A sketch as a sample; None without one, or if it is not what its shape wants."""
    kind = DTYPES.get(dtype)
    if kind is None or not plain:
        return None
    words, other = (np.frombuffer(each, dtype=f"<u{kind.word_bytes}") for each in (plain, turned))
    expected = sum(count for _, count in spans(shape))
    if len(words) != expected:
        return None
    return Sample(kind, shape, words, other)


def stacked(samples: Sequence[Sample]) -> Stack:
    """Samples of one dtype and shape, and of as many words.

    Args:
        samples: at least one.
    """
    first = samples[0]
    words, turned = ([each.words for each in samples], [each.turned for each in samples])
    known = all(len(each) == len(first.turned) for each in turned)
    empty = first.turned[:0].reshape(1, 0)
    return Stack(first.dtype, first.shape, np.stack(words), np.stack(turned) if known else empty)


def delta_bits(source: Sample, stored: Stack, *, turned: bool = False) -> Estimates:
    """Bits per element that a delta of one tensor against each of others would take, about.

    Args:
        source: of the new tensor.
        stored: of the others.
        turned: see the others transposed.

    Returns:
        One number each; infinity where they cannot be compared.
    """
    pair = (_turned_pair if turned else _plain_pair)(source, stored)
    same = source.dtype.name == stored.dtype.name
    kinds = {source.dtype.kind, stored.dtype.kind}
    if pair is None or not len(pair[0]) or not (same or kinds == {"float"}):
        return np.full(len(stored.words), np.inf)
    new, old = pair
    if not same:
        flat = converted(np.ascontiguousarray(old).reshape(-1), stored.dtype, source.dtype)
        old = flat.reshape(old.shape)
    zigzag = difference(new[None, :], old, source.dtype.kind == "float")
    return np.minimum(bits_of_differences(zigzag), dense_bits(source.dtype))


def _plain_pair(source: Sample, stored: Stack) -> tuple[Words, Words] | None:
    """The words of the one, and of each of the others, at the places they have in common."""
    if source.shape == stored.shape:
        return source.words, stored.words[:, : len(source.words)]
    same_width = source.shape[1:] == stored.shape[1:] and len(source.shape) == len(stored.shape)
    if not same_width or len(source.shape) < MATRIX:
        return None
    here, there = spans(source.shape), spans(stored.shape)
    width = here[0][1]
    common = np.repeat([a == b for a, b in zip(here, there, strict=True)], width)
    common = common[: len(source.words)]
    return source.words[common], stored.words[:, : len(common)][:, common]


def _turned_pair(source: Sample, stored: Stack) -> tuple[Words, Words] | None:
    if len(source.shape) != MATRIX or source.shape != stored.shape[::-1]:
        return None
    count = sum(size for _, size in spans(source.shape, TURNED_SPANS))
    return (source.words[:count], stored.turned) if stored.turned.shape[1] == count else None


def dense_bits(dtype: Dtype) -> float:
    """Bits per element of a tensor kept whole, about: exponents and signs of weights repeat."""
    usual = {"BF16": 10.7, "F16": 13.5, "F32": 27.0, "F64": 59.0}
    return usual.get(dtype.name, float(dtype.bits))
