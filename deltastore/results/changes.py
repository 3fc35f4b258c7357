"""What differs between two versions."""

from __future__ import annotations

from dataclasses import dataclass

from deltastore.results.html import InNotebooks

__all__ = ["Diff", "FileChange", "TensorChange"]


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file and `added`, `removed`, `changed` or `unchanged`."""

    path: str
    status: str


@dataclass(frozen=True, slots=True)
class TensorChange:
    """A tensor in two versions; numbers in float64, None where undefined.

    Attributes:
        name: of the tensor.
        status: `added` `removed` `changed` `unchanged` `retyped` `reshaped`.
        norm: |B - A|.
        relative_norm: |B - A| / |A|.
        cosine: of A and B.
        task_cosine: of A - base and B - base, when both record one base.
        changed_fraction: elements whose bits differ.
        size: elements.
    """

    name: str
    status: str
    norm: float | None = None
    relative_norm: float | None = None
    cosine: float | None = None
    task_cosine: float | None = None
    changed_fraction: float | None = None
    size: int = 0


@dataclass(frozen=True, slots=True, repr=False)
class Diff(InNotebooks):
    """What differs between A and B.

    Attributes:
        same: every file is.
        files: all of them, with their status.
        tensors: all of them, most changed first.
        a: how people know A.
        b: how people know B.
        changed_fraction: over all tensors in both of one dtype and shape.
        relative_norm: |B - A| / |A| over the tensors that changed.
    """

    same: bool
    files: tuple[FileChange, ...]
    tensors: tuple[TensorChange, ...]
    a: str = ""
    b: str = ""
    changed_fraction: float | None = None
    relative_norm: float | None = None
