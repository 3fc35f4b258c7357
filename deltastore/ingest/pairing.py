"""Which tensor of a stored version stands for one of a new version, and how it is to be seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deltastore.materialize.seeing import view_problem
from deltastore.storage.records import Input

if TYPE_CHECKING:
    from deltastore.materialize.versions import VersionTensor
    from deltastore.specs import TensorSpec

__all__ = ["Counterpart", "paired"]

LEAST_SHARED = 0.5
"""Fraction of a tensor's rows that another one must cover to be worth a delta."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A stored tensor and how it is seen.

    Attributes:
        tensor: of the stored version.
        source: its digest and view; `Input(digest)` when dtype and shape are the same.
    """

    tensor: VersionTensor
    source: Input

    def is_same(self, spec: TensorSpec) -> bool:
        """Whether it has that very dtype and shape."""
        have = self.tensor.entry.spec
        return self.source == Input(self.tensor.digest) and (have.dtype, have.shape) == (
            spec.dtype,
            spec.shape,
        )


def paired(
    tensor: VersionTensor, spec: TensorSpec, *, transposed: bool = False
) -> Counterpart | None:
    """A stored tensor as the counterpart of a new one, if it can be seen as one.

    Args:
        tensor: of a stored version.
        spec: of the new one.
        transposed: try that first, for square matrices; others say it by their shape.
    """
    have = tensor.entry.spec
    plain, turned = Input(tensor.digest), Input(tensor.digest, transposed=True)
    for source in (turned, plain) if transposed else (plain, turned):
        if not view_problem(source, have, spec):
            return Counterpart(tensor, source)
    rows = _shared_rows(have.shape, spec.shape)
    source = Input(tensor.digest, (0, rows, 0, rows))
    enough = rows > 0 and rows >= LEAST_SHARED * spec.shape[0]
    return Counterpart(tensor, source) if enough and not view_problem(source, have, spec) else None


def _shared_rows(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    return min(a[0], b[0]) if a and b else 0
