"""Doubles to float words, rounded once: against tables of midpoints, which doubles hold exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore.kernels.rounding import narrowed, rounded, widened
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]

TABLED = [name for name, dtype in DTYPES.items() if dtype.kind == "float" and dtype.bits <= 16]
INFINITE = {"BF16": 2.0**128, "F16": 2.0**16, "F8_E5M2": 2.0**16}
"""Where the value after the largest finite one would be, in dtypes with an infinity."""


def magnitudes(name: str) -> Doubles:
    """The values of the codes 0, 1, 2, ... as far as they are finite, and infinity's place."""
    dtype = DTYPES[name]
    codes = np.arange(2 ** (dtype.bits - 1), dtype=f"u{dtype.word_bytes}")
    with np.errstate(invalid="ignore"):  # signaling NaNs
        values = widened(codes, dtype).astype(np.float64)
    finite = values[np.isfinite(values)]
    return np.append(finite, INFINITE[name]) if name in INFINITE else finite


def nearest(values: Doubles, name: str) -> npt.NDArray[Any]:
    """The code of each magnitude: the midpoints below, and at a tie the even one."""
    table = magnitudes(name)
    middle = (table[1:] + table[:-1]) / 2
    code: npt.NDArray[Any] = np.searchsorted(middle, np.abs(values), side="left")
    tie = np.isin(np.abs(values), middle)
    code += tie & (code % 2 == 1)
    return code


def critical(name: str) -> Doubles:
    """Every value, every midpoint, and the doubles next to each."""
    table = magnitudes(name)
    points = np.concatenate([table, (table[1:] + table[:-1]) / 2])
    around = [points, np.nextafter(points, np.inf), np.nextafter(points, 0.0)]
    return np.unique(np.concatenate(around))


@pytest.mark.parametrize("name", TABLED)
def test_every_midpoint_and_its_neighbors(name: str) -> None:
    values = critical(name)
    dtype = DTYPES[name]
    assert (narrowed(values, dtype) == nearest(values, name)).all()
    sign = 1 << (dtype.bits - 1)
    negative = narrowed(-values, dtype)
    expected = nearest(values, name)
    if name.endswith("FNUZ"):
        sign = np.where(expected > 0, sign, 0)  # type: ignore[assignment]
    assert (negative == (expected | sign)).all()


@pytest.mark.parametrize("name", TABLED)
def test_what_is_too_large(name: str) -> None:
    values = np.array([1e300, np.inf, 3.5e38])
    last = len(magnitudes(name)) - 1
    assert (narrowed(values, DTYPES[name]) == last).all()


def test_rounding_twice_would_be_seen() -> None:
    values = np.nextafter(np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8]), [2.0, 0.0])
    twice = rounded(values.astype(np.float32), DTYPES["BF16"])
    assert (twice != narrowed(values, DTYPES["BF16"])).all()


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_any_double_as_bfloat16(values: list[float]) -> None:
    doubles = np.array(values)
    found = narrowed(doubles, DTYPES["BF16"])
    assert (found & 0x7FFF == nearest(doubles, "BF16")).all()
    assert (found >> 15 == np.signbit(doubles)).all()


@given(st.lists(st.floats(allow_nan=False), min_size=1))
def test_singles_and_doubles_are_numpys(values: list[float]) -> None:
    doubles = np.array(values)
    assert (narrowed(doubles, DTYPES["F64"]) == doubles.view(np.uint64)).all()
    with np.errstate(over="ignore", under="ignore"):
        singles = doubles.astype(np.float32)
    assert (narrowed(doubles, DTYPES["F32"]) == singles.view(np.uint32)).all()
