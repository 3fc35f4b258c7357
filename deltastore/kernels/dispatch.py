"""Which family of kernels runs. The bits never depend on it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt

from deltastore.errors import UsageError

if TYPE_CHECKING:
    from deltastore.kernels.models import WordModel

__all__ = ["Family", "Kernels", "kernels"]

Family = Literal["reference", "cpu"]

Words = npt.NDArray[np.unsignedinteger[Any]]
Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int64]
Escapes = npt.NDArray[np.uint16]
Deltas = npt.NDArray[np.float32]


class Kernels(Protocol):
    """What every family offers; `deltastore.kernels.reference` documents and defines each."""

    # ruff: noqa: D102 - the definitions carry the docstrings

    def difference(self, target: Words, reference: Words, ordered: bool) -> Words: ...
    def integrate(self, reference: Words, zigzag: Words, ordered: bool) -> Words: ...
    def row_scales(self, zigzag: Words, reference: Words, row: int, model: WordModel) -> Bytes: ...
    def contexts(
        self, scales: Bytes, reference: Words, base: Words | None, row: int, model: WordModel
    ) -> tuple[Bytes, Counts]: ...
    def scatter(
        self, zigzag: Words, context: Bytes, counts: Counts, shifts: Bytes
    ) -> tuple[Bytes, Bytes, Escapes]: ...
    def gather(
        self,
        context: Bytes,
        counts: Counts,
        shifts: Bytes,
        symbols: Bytes,
        lows: Bytes,
        escapes: Escapes,
        word_bytes: int,
    ) -> Words: ...
    def gaps(self, words: Words) -> tuple[Bytes, Words]: ...
    def positions(self, encoded: Bytes) -> Counts: ...
    def magnitude_counts(self, delta: Deltas) -> tuple[Counts, Counts]: ...
    def select(
        self, delta: Deltas, key: int, quota: int
    ) -> tuple[Counts, npt.NDArray[np.int8]]: ...
    def squared_sum(self, delta: Deltas | npt.NDArray[np.float64]) -> float: ...


def kernels(family: Family = "cpu") -> Kernels:
    """The kernels of a family; numba is loaded by the first call for `cpu`.

    Raises:
        UsageError: there is no such family.
    """
    if family not in get_args(Family):
        raise UsageError(f"no kernels {family!r}", hint=f"one of: {', '.join(get_args(Family))}")
    return cast("Kernels", import_module(f"deltastore.kernels.{family}"))
