"""tip - (commit - parent) on raw bytes: what is computed, and whose bits are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastore.codecs.blocks import BLOCK_WORDS
from deltastore.materialize.subtraction import subtractable, without_change
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    import numpy.typing as npt

    from deltastore.materialize.tensors import Bytes

FLOATS = [name for name in DTYPES if subtractable(name)]


def raw(values: npt.ArrayLike, dtype: str = "<f4") -> Bytes:
    return np.array(values, dtype).view(np.uint8).reshape(-1)


def test_the_dtypes_with_arithmetic() -> None:
    assert "F8_E4M3" in FLOATS
    assert "C64" in FLOATS
    assert not {"I64", "BOOL", "F4", "F8_E8M0", "U8"} & set(FLOATS)


def test_the_change_is_subtracted_and_rounded_once() -> None:
    tip, commit, parent = [1.5, 16777216.0], [1.0, 3.0], [0.75, 0.5]
    found = without_change(raw(tip), raw(commit), raw(parent), "F32").view("<f4")
    # 16777216 - 2.5 is exact in double precision, a tie between two floats, and goes to the even
    assert found.tolist() == [1.25, 16777214.0]


def test_untouched_elements_keep_their_bits() -> None:
    nan, other = np.float32(np.nan), raw([0x7FC00001], "<u4").view("<f4")[0]
    tip = np.array([other, -0.0, 5.0, nan], "<f4")
    commit = np.array([1.0, 1.0, np.inf, nan], "<f4")
    parent = np.array([1.0, 1.0, np.inf, -0.0], "<f4")
    found = without_change(raw(tip), raw(commit), raw(parent), "F32")
    expected = np.array([other, -0.0, 5.0, -0.0], "<f4")
    assert found.tobytes() == expected.tobytes()


def test_what_is_not_finite_is_not_subtracted() -> None:
    tip = np.array([1.0, np.inf, 3.0, 4.0], "<f4")
    commit = np.array([np.inf, 2.0, np.nan, 1.0], "<f4")
    parent = np.array([2.0, 1.0, 2.0, -np.inf], "<f4")
    assert without_change(raw(tip), raw(commit), raw(parent), "F32").tobytes() == tip.tobytes()


def test_several_blocks_and_an_empty_tensor() -> None:
    random = np.random.default_rng(0)
    sides = random.integers(-8, 8, (3, BLOCK_WORDS + 5)).astype("<f4")
    found = without_change(raw(sides[0]), raw(sides[1]), raw(sides[2]), "F32").view("<f4")
    assert (found == sides[0] - (sides[1] - sides[2])).all()
    nothing = raw([])
    assert without_change(nothing, nothing, nothing, "BF16").nbytes == 0


def test_complex_numbers_are_pairs() -> None:
    tip, commit, parent = (raw([value], "<c8") for value in (3 + 4j, 1 + 1j, 0.5 + 2j))
    assert without_change(tip, commit, parent, "C64").view("<c8").tolist() == [2.5 + 5j]


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_the_three_way_rules_hold_for_any_bits(dtype: str, data: st.DataObject) -> None:
    size = 4 * DTYPES[dtype].bits // 8
    one, two = (
        np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), np.uint8)
        for _ in range(2)
    )
    assert without_change(one, one, two, dtype).tobytes() == two.tobytes()
    assert without_change(one, two, two, dtype).tobytes() == one.tobytes()
    assert without_change(one, two, one, dtype).nbytes == size


SINGLES = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1)


@given(SINGLES.flatmap(lambda tip: st.tuples(st.just(tip), *(st.permutations(tip),) * 2)))
def test_singles_are_subtracted_as_numpy_does_in_doubles(sides: tuple[list[float], ...]) -> None:
    tip, commit, parent = (np.array(side, "<f4") for side in sides)
    found = without_change(raw(tip), raw(commit), raw(parent), "F32").view("<f4")
    t, c, p = (side.astype(np.float64) for side in (tip, commit, parent))
    with np.errstate(over="ignore", under="ignore"):
        computed = (t - (c - p)).astype("<f4")
    words = [side.view("<u4") for side in (tip, commit, parent)]
    expected = np.where(words[1] == words[2], tip, computed)
    expected = np.where(words[0] == words[1], parent, expected)
    assert found.tobytes() == expected.tobytes()
