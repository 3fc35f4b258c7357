"""Inputs of another shape or dtype, as the tensor that takes them sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltastore.errors import CorruptError
from deltastore.ids import short
from deltastore.kernels.views import converted, row_words, transposed
from deltastore.specs import DTYPES, TensorSpec

if TYPE_CHECKING:
    from deltastore.codecs.protocol import Words
    from deltastore.specs import Dtype
    from deltastore.storage.records import Input, Representation

__all__ = ["is_plain", "seen", "tensor_spec", "view_problem"]


def tensor_spec(how: Representation) -> TensorSpec:
    """Dtype and shape of a represented tensor, without a name."""
    return TensorSpec("", how.dtype, how.shape)


def is_plain(source: Input, spec: TensorSpec, target: TensorSpec) -> bool:
    """Whether block i of the input is what block i of the target takes."""
    whole = source.rows is None and not source.transposed
    return whole and (spec.dtype, spec.shape) == (target.dtype, target.shape)


def view_problem(source: Input, spec: TensorSpec, target: TensorSpec) -> str:
    """Why an input cannot be seen as the target's dtype and shape, or an empty text."""
    kinds = {DTYPES[spec.dtype].kind, DTYPES[target.dtype].kind}
    if spec.dtype != target.dtype and kinds != {"float"}:
        return f"{spec.dtype} is not seen as {target.dtype}"
    if (source.rows is not None or source.transposed) and not _is_one_word(DTYPES[spec.dtype]):
        return f"{spec.dtype} is only seen whole"
    if source.rows is not None:
        fits = len(spec.shape) > 0 and spec.shape[1:] == target.shape[1:] and len(target.shape) > 0
        inside = fits and source.rows[1] <= spec.shape[0] and source.rows[3] <= target.shape[0]
        return "" if inside else f"rows of {list(spec.shape)} do not fit {list(target.shape)}"
    if source.transposed and len(spec.shape) != 2:
        return f"{list(spec.shape)} is no matrix"
    shape = spec.shape[::-1] if source.transposed else spec.shape
    return "" if shape == target.shape else f"{list(spec.shape)} is not {list(target.shape)}"


def _is_one_word(dtype: Dtype) -> bool:
    """Not packed, not complex: elements are words."""
    return dtype.bits == 8 * dtype.word_bytes


def seen(source: Input, words: Words, spec: TensorSpec, target: TensorSpec) -> Words:
    """An input as the target's words (format-v1 section 6.3).

    Args:
        source: says how.
        words: all of the input's.
        spec: of the input.
        target: dtype and shape to see it as.

    Raises:
        CorruptError: it cannot be seen so.
    """
    problem = view_problem(source, spec, target)
    if problem:
        raise CorruptError(f"tensor {target.name!r}: its input {short(source.digest)}: {problem}")
    if spec.dtype != target.dtype:
        words = converted(words, DTYPES[spec.dtype], DTYPES[target.dtype])
    if source.rows is not None:
        return row_words(words, spec.shape, source.rows, target.shape[0])
    if source.transposed:
        return transposed(words, (spec.shape[0], spec.shape[1]))
    return words
