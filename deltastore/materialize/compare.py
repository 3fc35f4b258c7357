"""How far two versions are apart, tensor by tensor, in double precision."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from deltastore.codecs.blocks import BLOCK_WORDS, as_words
from deltastore.history.diff import diff_manifests
from deltastore.kernels.rounding import widened
from deltastore.results import Diff, FileChange, TensorChange
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from deltastore.codecs.protocol import Words
    from deltastore.history.diff import NamedTensor
    from deltastore.history.diff import TensorChange as NamedChange
    from deltastore.history.manifests import ManifestFile
    from deltastore.materialize.sides import Side
    from deltastore.materialize.tensors import Bytes
    from deltastore.specs import Dtype, TensorSpec

__all__ = ["compare"]

_OPAQUE = ("F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "BOOL")
"""Dtypes without numbers to subtract: only the share of changed elements is told."""


@dataclass(slots=True)
class _Sums:
    """Inner products over pairs of tensors: A with A, B with B, the difference, task vectors."""

    words: int = 0
    changed: int = 0
    aa: float = 0.0
    bb: float = 0.0
    ab: float = 0.0
    dd: float = 0.0
    task_aa: float = 0.0
    task_bb: float = 0.0
    task_ab: float = 0.0
    numeric: bool = True

    def add(self, other: _Sums) -> None:
        self.words += other.words
        self.changed += other.changed
        if other.numeric:
            self.aa += other.aa
            self.bb += other.bb
            self.ab += other.ab
            self.dd += other.dd


def compare(
    a: Side,
    b: Side,
    base: Callable[[NamedTensor], Bytes | None] = lambda _tensor: None,
    *,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Diff:
    """Files and tensors of A and B; where digests agree, only one side's weights are read.

    Args:
        a: the older, or first, side.
        b: the other one.
        base: the tensor of the base both record, of the same name, dtype and shape; None without.
        report: called with bytes of tensors done and in all, after each one.

    Returns:
        A `Diff` without labels, tensors sorted by how much they changed.
    """
    found = diff_manifests(a.manifest, b.manifest, partial(_specs, a, b))
    sides = _Sides(a, b, base)
    total = _Sums()
    changes = []
    done, whole = 0, sum(_nbytes(change) for change in found.tensors)
    with _ahead(sides, found.tensors) as near:
        for change in found.tensors:
            changes.append(_tensor(change, near, total))
            done += _nbytes(change)
            report(done, whole)
    files = tuple(
        FileChange(file.path, "unchanged" if file.status == "same" else file.status)
        for file in found.files
    )
    return Diff(
        same=found.same,
        files=files,
        tensors=tuple(sorted(changes, key=_most_changed_first)),
        changed_fraction=_ratio(total.changed, total.words),
        relative_norm=_ratio(math.sqrt(total.dd), math.sqrt(total.aa)),
    )


def _specs(a: Side, b: Side, file: ManifestFile) -> Sequence[TensorSpec]:
    return a.specs(file) if a.manifest.file(file.path) == file else b.specs(file)


@dataclass(frozen=True, slots=True)
class _Sides:
    """What tensors are read from."""

    a: Side
    b: Side
    base: Callable[[NamedTensor], Bytes | None]


@contextmanager
def _ahead(sides: _Sides, changes: Sequence[NamedChange]) -> Iterator[_Sides]:
    """The same sides, which fetch what will be read of them ahead."""
    read = [change for change in changes if change.before and _is_read(change)]
    before = (change.before for change in read if change.before)
    after = (change.after for change in read if change.after and change.status == "changed")
    with sides.a.ahead(before) as a, sides.b.ahead(after) as b:
        yield replace(sides, a=a, b=b)


def _is_read(change: NamedChange) -> bool:
    opaque = change.before is not None and change.before.spec.dtype in _OPAQUE
    return change.status == "changed" or (change.status == "unchanged" and not opaque)


def _comparable(change: NamedChange) -> bool:
    return change.status in ("changed", "unchanged")


def _nbytes(change: NamedChange) -> int:
    """Bytes of a tensor that is read, on one side."""
    return change.before.spec.nbytes if change.before and _comparable(change) else 0


def _tensor(change: NamedChange, sides: _Sides, total: _Sums) -> TensorChange:
    before, after = change.before, change.after
    size = max(side.spec.size for side in (before, after) if side is not None)
    if before is None or after is None or not _comparable(change):
        return TensorChange(change.name, change.status, size=size)
    dtype = DTYPES[before.spec.dtype]
    same = change.status == "unchanged"
    if same and dtype.name in _OPAQUE:
        sums = _Sums(before.spec.nbytes // dtype.word_bytes, numeric=False)
    else:
        first = sides.a.read(before)
        sums = _sums(first, first if same else sides.b.read(after), sides.base(before), dtype)
    total.add(replace(sums, numeric=False) if same else sums)
    return _change(change, sums, size)


def _change(change: NamedChange, sums: _Sums, size: int) -> TensorChange:
    fraction = _ratio(sums.changed, sums.words)
    if not sums.numeric:
        return TensorChange(change.name, change.status, changed_fraction=fraction, size=size)
    return TensorChange(
        name=change.name,
        status=change.status,
        norm=_finite(math.sqrt(sums.dd)),
        relative_norm=_ratio(math.sqrt(sums.dd), math.sqrt(sums.aa)),
        cosine=_cosine(sums.ab, sums.aa, sums.bb),
        task_cosine=_cosine(sums.task_ab, sums.task_aa, sums.task_bb),
        changed_fraction=fraction,
        size=size,
    )


def _sums(a: Bytes, b: Bytes, base: Bytes | None, dtype: Dtype) -> _Sums:
    """All sums over one pair of tensors, a block at a time."""
    sums = _Sums(numeric=dtype.name not in _OPAQUE)
    step = BLOCK_WORDS * dtype.word_bytes
    for start in range(0, a.nbytes, step):
        stop = start + step
        first, second = (as_words(side[start:stop].data, dtype) for side in (a, b))
        origin = None if base is None else as_words(base[start:stop].data, dtype)
        _add_block(sums, first, second, origin, dtype)
    return sums


def _add_block(sums: _Sums, a: Words, b: Words, base: Words | None, dtype: Dtype) -> None:
    sums.words += len(a)
    sums.changed += int(np.count_nonzero(a != b))
    if not sums.numeric:
        return
    first, second = _values(a, dtype), _values(b, dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        difference = second - first
        sums.aa += float(first @ first)
        sums.bb += float(second @ second)
        sums.ab += float(first @ second)
        sums.dd += float(difference @ difference)
        if base is not None:
            origin = _values(base, dtype)
            first, second = first - origin, second - origin
            sums.task_aa += float(first @ first)
            sums.task_bb += float(second @ second)
            sums.task_ab += float(first @ second)


def _values(words: Words, dtype: Dtype) -> npt.NDArray[np.float64]:
    if dtype.kind == "complex":
        return words.view(np.float32).astype(np.float64)
    if dtype.kind == "float":
        return widened(words, dtype).astype(np.float64)
    signed = words.view(f"i{words.itemsize}") if dtype.kind == "int" else words
    return signed.astype(np.float64)


def _cosine(ab: float, aa: float, bb: float) -> float | None:
    if ab == aa == bb and aa and math.isfinite(aa):
        return 1.0  # of equal vectors, without the last digit that two roots may cost
    return _ratio(ab, math.sqrt(aa) * math.sqrt(bb))


def _ratio(numerator: float, denominator: float) -> float | None:
    return _finite(numerator / denominator) if denominator else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _most_changed_first(change: TensorChange) -> tuple[bool, float, str]:
    return change.status == "unchanged", -(change.relative_norm or 0.0), change.name
