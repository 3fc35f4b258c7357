"""The numba forms: the same bits as `reference`, several times faster, without the GIL."""

from deltastore.kernels.cpu.buckets import contexts, gather, row_scales, scatter
from deltastore.kernels.cpu.differences import difference, integrate
from deltastore.kernels.cpu.gaps import gaps, positions
from deltastore.kernels.cpu.magnitudes import magnitude_counts, select, squared_sum

__all__ = [
    "contexts",
    "difference",
    "gaps",
    "gather",
    "integrate",
    "magnitude_counts",
    "positions",
    "row_scales",
    "scatter",
    "select",
    "squared_sum",
]
