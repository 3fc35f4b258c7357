"""The numpy forms: slow, plain, and the definition of every kernel."""

from deltastore.kernels.reference.buckets import contexts, gather, row_scales, scatter
from deltastore.kernels.reference.differences import difference, integrate
from deltastore.kernels.reference.gaps import gaps, positions
from deltastore.kernels.reference.magnitudes import magnitude_counts, select, squared_sum

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
