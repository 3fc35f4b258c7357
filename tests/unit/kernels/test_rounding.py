"""Widening and rounding against torch, and the edges that torch does not define."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from deltastore.kernels.rounding import rounded, step, widened
from deltastore.specs import DTYPES

TORCH = {
    "BF16": torch.bfloat16,
    "F16": torch.float16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
}
LARGEST = {"F8_E4M3": 448.0, "F8_E4M3FNUZ": 240.0, "F8_E5M2FNUZ": 57344.0}


def all_words(name: str) -> Any:
    bits = DTYPES[name].bits
    return np.arange(2**bits, dtype=f"u{bits // 8}")


def of_torch(words: Any, name: str) -> Any:
    return torch.from_numpy(words.copy()).view(TORCH[name]).to(torch.float32).numpy()


@pytest.mark.parametrize("name", TORCH)
def test_widening_every_word(name: str) -> None:
    words = all_words(name)
    wide, theirs = widened(words, DTYPES[name]), of_torch(words, name)
    assert wide.dtype == np.float32
    assert np.array_equal(wide, theirs, equal_nan=True)
    assert np.array_equal(np.signbit(wide[~np.isnan(wide)]), np.signbit(theirs[~np.isnan(wide)]))


@pytest.mark.parametrize("name", TORCH)
def test_rounding_what_is_exact_gives_the_word_back(name: str) -> None:
    words = all_words(name)
    wide = widened(words, DTYPES[name])
    sure = ~np.isnan(wide)
    assert np.array_equal(rounded(wide[sure], DTYPES[name]), words[sure])


@pytest.mark.parametrize("name", TORCH)
def test_rounding_is_to_nearest_even(name: str) -> None:
    """Against torch: between neighbors, at midpoints exactly, and one single beside them."""
    wide = widened(all_words(name), DTYPES[name])
    values = np.unique(wide[np.isfinite(wide)]).astype(np.float64)
    middle = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    rng = np.random.default_rng(3)
    inside = rng.uniform(values[:-1], values[1:]).astype(np.float32)
    below, above = np.nextafter(middle, np.float32(-1e38)), np.nextafter(middle, np.float32(1e38))
    for probe in (middle, below, above, inside):
        theirs = torch.from_numpy(probe.copy()).to(TORCH[name]).view(torch.uint8)
        assert rounded(probe, DTYPES[name]).tobytes() == theirs.numpy().tobytes()


@pytest.mark.parametrize("name", LARGEST)
def test_without_infinity_overflow_saturates(name: str) -> None:
    values = np.array([1e6, -1e6, np.inf, -np.inf, 1.2 * LARGEST[name]], np.float32)
    back = widened(rounded(values, DTYPES[name]), DTYPES[name])
    assert np.array_equal(back, LARGEST[name] * np.array([1, -1, 1, -1, 1]))


@pytest.mark.parametrize("name", ["BF16", "F16", "F8_E5M2"])
def test_with_infinity_overflow_is_infinite(name: str) -> None:
    wide = widened(all_words(name), DTYPES[name])
    largest = wide[np.isfinite(wide)].max()
    ulp = largest - np.sort(wide[np.isfinite(wide)])[-2]
    values = np.array([largest + 0.49 * ulp, largest + 0.5 * ulp, np.inf], np.float64)
    with np.errstate(over="ignore"):
        back = widened(rounded(values.astype(np.float32), DTYPES[name]), DTYPES[name])
    assert back.tolist() == [largest, np.inf, np.inf]


@pytest.mark.parametrize("name", ["F8_E4M3FNUZ", "F8_E5M2FNUZ"])
def test_fnuz_has_no_negative_zero(name: str) -> None:
    assert rounded(np.array([-1e-30, -0.0], np.float32), DTYPES[name]).tolist() == [0, 0]


@pytest.mark.parametrize("name", [*TORCH, "F32", "F64"])
def test_a_step_leaves_what_is_not_finite(name: str) -> None:
    dtype = DTYPES[name]
    special = {8: 0x7F, 16: 0x7FFF, 32: 0xFFC12345, 64: 0x7FF0000000000000}[dtype.bits]
    if name.endswith("FNUZ"):
        special = 0x80
    words = np.array([special, 0], f"u{dtype.bits // 8}")
    moved = step(words, np.array([1, 1], np.int8), 0x3F800000, dtype)
    assert moved[0] == special
    assert widened(moved, dtype)[1] == 1.0


def test_steps_in_single_and_double_are_ieee_additions() -> None:
    rng = np.random.default_rng(7)
    signs = rng.choice([-1, 1], 500).astype(np.int8)
    size = np.float32(0.0123)
    scale = int(size.view(np.uint32))
    single = rng.normal(size=500).astype(np.float32)
    moved = step(single.view(np.uint32), signs, scale, DTYPES["F32"])
    assert np.array_equal(moved.view(np.float32), single + size * signs.astype(np.float32))
    double = rng.normal(size=500)
    moved = step(double.view(np.uint64), signs, scale, DTYPES["F64"])
    assert np.array_equal(moved.view(np.float64), double + float(size) * signs)


def test_subnormals_are_kept() -> None:
    words = np.array([1, 0x8001], np.uint16)
    tiny = int(np.float32(2.0**-133).view(np.uint32))  # the least bf16
    moved = step(words, np.array([1, 1], np.int8), tiny, DTYPES["BF16"])
    assert moved.tolist() == [2, 0]
