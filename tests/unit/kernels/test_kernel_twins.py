"""Every numba kernel gives the bits of its numpy twin, on words of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deltastore.errors import UsageError
from deltastore.kernels.dispatch import kernels
from deltastore.kernels.models import SKIPPED, word_model
from deltastore.specs import DTYPES

if TYPE_CHECKING:
    import numpy.typing as npt

    Words = npt.NDArray[np.unsignedinteger[Any]]

REFERENCE = kernels("reference")
CPU = kernels("cpu")
WIDTHS = ("u1", "u2", "u4", "u8")
SIZES = (0, 1, 2, 7, 8, 255, 256, 257, 5000)


def any_words(width: str, size: int, seed: int) -> Words:
    """Uniform bits: every NaN, infinity, subnormal and zero of the narrow types occurs."""
    data = np.random.default_rng([seed, size]).bytes(size * np.dtype(width).itemsize)
    return np.frombuffer(data, width)


def near(words: Words, share: float, seed: int) -> Words:
    """The same words, a share of them moved a little."""
    rng = np.random.default_rng([seed, 77])
    step = np.where(rng.random(words.size) < share, rng.geometric(0.05, words.size), 0)
    return words + step.astype(words.dtype)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_differences(width: str, ordered: bool, size: int) -> None:
    target, reference = any_words(width, size, 1), any_words(width, size, 2)
    zigzag = REFERENCE.difference(target, reference, ordered)
    assert np.array_equal(CPU.difference(target, reference, ordered), zigzag)
    for family in (REFERENCE, CPU):
        assert np.array_equal(family.integrate(reference, zigzag, ordered), target)


@pytest.mark.parametrize("name", ["BF16", "F16", "F8_E4M3", "F8_E5M2", "I16", "U8", "BOOL"])
@pytest.mark.parametrize("row", [1, 3, 64, 5000, 2**40])
@pytest.mark.parametrize("share", [0.001, 0.3, 1.0])
@pytest.mark.parametrize("with_base", [True, False])
def test_buckets(name: str, row: int, share: float, with_base: bool) -> None:
    model = word_model(DTYPES[name])
    reference = any_words(f"u{model.bits // 8}", 5003, 3)
    base = near(reference, 0.1, 4) if with_base else None
    target = near(reference, share, 5)
    zigzag = REFERENCE.difference(target, reference, model.ordered)
    shifts = np.array([c // 16 % (model.max_shift + 1) for c in range(SKIPPED)] + [0], np.uint8)
    row = min(row, reference.size)

    scales = REFERENCE.row_scales(zigzag, reference, row, model)
    assert np.array_equal(CPU.row_scales(zigzag, reference, row, model), scales)
    context, counts = REFERENCE.contexts(scales, reference, base, row, model)
    mine = CPU.contexts(scales, reference, base, row, model)
    assert np.array_equal(mine[0], context)
    assert np.array_equal(mine[1], counts)
    parts = REFERENCE.scatter(zigzag, context, counts, shifts)
    own = CPU.scatter(zigzag, context, counts, shifts)
    for index in range(3):
        assert np.array_equal(own[index], parts[index])
    for family in (REFERENCE, CPU):
        back = family.gather(context, counts, shifts, *parts, zigzag.itemsize)
        assert np.array_equal(back, zigzag)


def test_scales_are_half_octaves_of_the_mean_change() -> None:
    model = word_model(DTYPES["BF16"])
    reference = np.full(1024, 0x3F80, np.uint16)  # 1.0, whose last bit is worth 2^-7
    for ulps, expected in ((1, 0), (2, 2), (3, 3), (4, 4), (23, 9), (128, 14)):
        zigzag = np.full(1024, 2 * ulps, np.uint16)
        scales = CPU.row_scales(zigzag, reference, 1024, model)
        context, _ = CPU.contexts(scales, reference, None, 1024, model)
        assert set(context) == {20 + expected}


def test_scales_do_not_depend_on_the_order_in_a_row() -> None:
    model = word_model(DTYPES["F16"])
    reference = any_words("u2", 4096, 11)
    zigzag = REFERENCE.difference(near(reference, 0.5, 12), reference, True)
    order = np.random.default_rng(13).permutation(4096)
    assert np.array_equal(
        CPU.row_scales(zigzag, reference, 4096, model),
        CPU.row_scales(zigzag[order], reference[order], 4096, model),
    )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [0.0, 0.002, 0.2, 1.0])
def test_gaps(width: str, size: int, share: float) -> None:
    words = near(np.zeros(size, width), share, size)
    encoded, values = REFERENCE.gaps(words)
    mine = CPU.gaps(words)
    assert np.array_equal(mine[0], encoded)
    assert np.array_equal(mine[1], values)
    for family in (REFERENCE, CPU):
        assert np.array_equal(family.positions(encoded), np.flatnonzero(words))


@pytest.mark.parametrize("skipped", [0, 1, 254, 255, 256, 509, 510, 511])
def test_gap_bytes_at_their_edges(skipped: int) -> None:
    words = np.zeros(skipped + 1, np.uint8)
    words[-1] = 9
    encoded, values = CPU.gaps(words)
    assert encoded.tolist() == [255] * (skipped // 255) + [skipped % 255]
    assert values.tolist() == [9]


@pytest.mark.parametrize("size", SIZES)
def test_magnitudes(size: int) -> None:
    delta = any_words("u4", size, 21).view(np.float32)
    counts, sums = REFERENCE.magnitude_counts(delta)
    mine = CPU.magnitude_counts(delta)
    assert np.array_equal(mine[0], counts)
    assert np.array_equal(mine[1], sums)
    for key in (1, 0x3F80, int(counts.argmax()), 0x7F7F):
        for quota in (0, 1, 3, 10_000):
            places, signs = REFERENCE.select(delta, key, quota)
            found = CPU.select(delta, key, quota)
            assert np.array_equal(found[0], places)
            assert np.array_equal(found[1], signs)


def test_selection_never_takes_what_is_not_finite_or_zero() -> None:
    delta = np.array([0, -0.0, 1e-45, np.nan, np.inf, -np.inf, 1, -2], np.float32)
    for family in (REFERENCE, CPU):
        places, signs = family.select(delta, 0, 10**6)
        assert (places.tolist(), signs.tolist()) == ([6, 7], [1, -1])
        assert family.magnitude_counts(delta)[0].sum() == 2


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("size", SIZES)
def test_squared_sums(kind: Any, size: int) -> None:
    delta = np.random.default_rng(size).normal(0, 3, size).astype(kind)
    delta[size // 2 : size // 2 + 1] = np.nan
    delta[size // 3 : size // 3 + 1] = np.inf
    total = REFERENCE.squared_sum(delta)
    assert CPU.squared_sum(delta) == total
    finite = delta[np.isfinite(delta)].astype(np.float64)
    assert total == pytest.approx(float((finite**2).sum()), rel=1e-12)


def test_unknown_family() -> None:
    with pytest.raises(UsageError, match="no kernels 'gpu2'"):
        kernels("gpu2")  # type: ignore[arg-type]
