"""Gap bytes from outside, checked before any index is made of them (codecs-v1 section 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deltastore.errors import CorruptError

if TYPE_CHECKING:
    import numpy.typing as npt

    from deltastore.kernels.dispatch import Kernels

__all__ = ["checked_positions"]


def checked_positions(
    gaps: npt.NDArray[np.uint8], words: int, kernels: Kernels, *, what: str
) -> npt.NDArray[np.int64]:
    """Ascending positions below `words`.

    Raises:
        CorruptError: the last byte is no end of a gap, or a position is `words` or more.
    """
    if len(gaps) and gaps[-1] == 255:
        raise CorruptError(f"{what}: gaps end in the middle of one")
    reached = int(gaps.sum(dtype=np.int64)) + int(np.count_nonzero(gaps != 255))
    if reached > words:
        raise CorruptError(f"{what}: gaps reach to word {reached} of {words}")
    return kernels.positions(gaps)
