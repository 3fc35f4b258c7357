from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deltastore.kernels.views import converted, row_words, transposed
from deltastore.specs import DTYPES

TORCH = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F32": torch.float32,
    "F64": torch.float64,
}
PAIRS = [pair for pair in product(TORCH, TORCH) if pair not in (("F64", "BF16"), ("F64", "F16"))]
"""PyTorch rounds doubles to 16 bits twice."""

FLOATS = [name for name, dtype in DTYPES.items() if dtype.kind == "float"]


def words_of(tensor: torch.Tensor, name: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    signed = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    size = DTYPES[name].word_bytes
    found: np.ndarray[tuple[int], np.dtype[np.uint64]] = (
        tensor.view(signed[size]).numpy().view(f"<u{size}")
    )
    return found


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_conversions_are_those_of_pytorch_where_one_rounding_is_enough(
    source: str, target: str
) -> None:
    torch.manual_seed(0)
    values = torch.randn(5000, dtype=torch.float64) * 10.0 ** torch.randint(-12, 9, (5000,))
    given_values = torch.cat([values, torch.tensor([0.0, -0.0, torch.inf, -torch.inf])])
    tensor = given_values.to(TORCH[source])
    single = tensor if target == "F64" else tensor.float()
    expected = single.to(TORCH[target])
    found = converted(words_of(tensor, source), DTYPES[source], DTYPES[target])
    assert np.array_equal(found, words_of(expected, target))


@pytest.mark.parametrize(("name", "bits"), [("BF16", 8), ("F16", 11)])
def test_doubles_are_rounded_once(name: str, bits: int) -> None:
    """A hair above the middle of two neighbors, which single precision takes for the middle."""
    middle = 1 + 2.0**-bits
    values = np.array([middle, middle + 2.0**-40, middle - 2.0**-40, np.nan, -middle - 2.0**-40])
    found = converted(values.view("<u8"), DTYPES["F64"], DTYPES[name])
    one = int(converted(np.ones(1).view("<u8"), DTYPES["F64"], DTYPES[name])[0])
    assert (found.astype(int) - one).tolist() == [0, 1, 0, -one, 0x8001]


@pytest.mark.parametrize("source", FLOATS)
@pytest.mark.parametrize("target", FLOATS)
def test_all_sixteen_bit_patterns_convert_to_something_finite_or_infinite(
    source: str, target: str
) -> None:
    size = DTYPES[source].word_bytes
    words = np.arange(1 << min(16, 8 * size), dtype=np.uint64) << (8 * size - min(16, 8 * size))
    found = converted(words.astype(f"<u{size}"), DTYPES[source], DTYPES[target])
    assert found.dtype == np.dtype(f"<u{DTYPES[target].word_bytes}")
    again = converted(found, DTYPES[target], DTYPES[target])
    assert np.array_equal(found, again)


@pytest.mark.parametrize("name", FLOATS)
def test_what_is_not_a_number_becomes_zero(name: str) -> None:
    size = DTYPES[name].word_bytes
    words = np.full(3, (1 << (8 * size - 1)) if "FNUZ" in name else (1 << (8 * size - 1)) - 1)
    found = converted(words.astype(f"<u{size}"), DTYPES[name], DTYPES["F32"])
    assert found.tolist() == [0, 0, 0]


@given(st.integers(1, 40), st.integers(1, 40))
def test_transposing_twice_is_nothing(rows: int, columns: int) -> None:
    words = np.arange(rows * columns, dtype=np.uint16)
    turned = transposed(words, (rows, columns))
    assert turned.flags.c_contiguous
    assert turned.reshape(columns, rows)[-1, 0] == words.reshape(rows, columns)[0, -1]
    assert np.array_equal(transposed(turned, (columns, rows)), words)


@given(st.data())
def test_rows_stand_where_they_are_said_to_and_nothing_else_does(data: st.DataObject) -> None:
    have, want, width = (data.draw(st.integers(1, 9)) for _ in range(3))
    count = data.draw(st.integers(0, min(have, want)))
    a, c = data.draw(st.integers(0, have - count)), data.draw(st.integers(0, want - count))
    words = np.arange(1, have * width + 1, dtype=np.uint32)
    found = row_words(words, (have, width), (a, a + count, c, c + count), want)
    expected = np.zeros((want, width), np.uint32)
    expected[c : c + count] = words.reshape(have, width)[a : a + count]
    assert np.array_equal(found, expected.reshape(-1))
