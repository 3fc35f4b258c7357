"""Which elements a preview keeps: exactly k, the largest, ties in order of index."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deltastore.codecs.preview import (
    count_block,
    plan_preview,
    preview_block,
    squared_difference,
)
from deltastore.codecs.registry import codec_named
from deltastore.errors import CorruptError, IncompatibleError, UsageError
from deltastore.kernels.rounding import rounded, widened
from deltastore.specs import DTYPES

FLOATS = ["BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"]
BF16 = DTYPES["BF16"]


def pair(name: str, size: int = 20_000, relative: float = 0.3) -> tuple[Any, Any]:
    """Weights around one and what a rough fine-tune makes of them."""
    rng = np.random.default_rng(9)
    base = rng.normal(0, 1, size)
    target = base + relative * rng.laplace(0, 1, size)
    if name == "F64":
        return rounded(target, DTYPES[name]), rounded(base, DTYPES[name])
    single = target.astype(np.float32), base.astype(np.float32)
    return rounded(single[0], DTYPES[name]), rounded(single[1], DTYPES[name])


def preview(target: Any, base: Any, name: str, density: str, cuts: int = 3, **how: Any) -> Any:
    """Plan and preview in that many blocks."""
    dtype = DTYPES[name]
    pairs = list(zip(np.array_split(target, cuts), np.array_split(base, cuts), strict=True))
    plan = plan_preview([count_block(t, b, dtype, **how) for t, b in pairs], density)
    assert plan is not None
    done = [preview_block(t, b, dtype, plan, i, **how) for i, (t, b) in enumerate(pairs)]
    return plan, np.concatenate(done)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("density", ["0.01", "0.05", "0.2", "1"])
def test_keeps_exactly_the_largest(name: str, density: str) -> None:
    target, base = pair(name)
    plan, _ = preview(target, base, name, density)
    wide_t, wide_b = widened(target, DTYPES[name]), widened(base, DTYPES[name])
    delta = (wide_t - wide_b).astype(np.float32)
    key = np.abs(delta).view(np.uint32) >> 16
    wanted = min(round(float(density) * len(target)), int(np.count_nonzero(key)))
    assert plan.kept == wanted
    order = sorted(range(len(key)), key=lambda i: (-int(key[i]), i))[:wanted]
    mean = np.abs(delta[order].astype(np.float64)).mean()
    scale = float(np.array([plan.scale], np.uint32).view(np.float32)[0])
    assert scale == pytest.approx(mean, rel=1e-3)
    kept = np.zeros(len(key), bool)
    kept[order] = True
    at = np.cumsum([0, *map(len, np.array_split(target, 3))])
    for block, quota in enumerate(plan.quotas):
        own = slice(at[block], at[block + 1])
        assert quota == np.count_nonzero(kept[own] & (key[own] == plan.threshold))


def test_ties_are_kept_in_order_of_index() -> None:
    base = np.full(100, 0x3F80, np.uint16)
    target = base + np.uint16(1)
    plan, done = preview(target, base, "BF16", "0.1", cuts=7)
    assert plan.kept == 10
    assert plan.quotas == (10, 0, 0, 0, 0, 0, 0)
    assert np.flatnonzero(done != base).tolist() == list(range(10))
    assert plan.parameters == {"density": "0.1", "scale": f"{np.float32(2**-7).view('u4'):08x}"}


@pytest.mark.parametrize("name", FLOATS)
def test_does_not_depend_on_the_cuts_or_the_family(name: str) -> None:
    target, base = pair(name)
    plan, done = preview(target, base, name, "0.05", cuts=1)
    for cuts, family in ((2, "cpu"), (11, "cpu"), (3, "reference")):
        other, again = preview(target, base, name, "0.05", cuts=cuts, family=family)
        assert (other.scale, other.threshold, other.kept) == (
            plan.scale,
            plan.threshold,
            plan.kept,
        )
        assert np.array_equal(again, done)


@pytest.mark.parametrize("name", FLOATS)
def test_error_is_within_what_was_declared(name: str) -> None:
    """Untouched elements are off by at most the threshold, touched ones less than before."""
    target, base = pair(name)
    plan, done = preview(target, base, name, "0.05")
    dtype = DTYPES[name]
    wide = {
        k: widened(v, dtype).astype(float) for k, v in (("t", target), ("b", base), ("q", done))
    }
    above = float(np.array([(plan.threshold + 1) << 16], np.uint32).view(np.float32)[0])
    still = done == base
    assert np.all(np.abs(wide["t"] - wide["b"])[still] <= 1.0001 * above + 0)
    exact = squared_difference(target, base, dtype)
    assert squared_difference(target, done, dtype) < 0.9 * exact
    assert exact == pytest.approx(((wide["t"] - wide["b"]) ** 2).sum(), rel=1e-6)


def test_scale_is_least_squares() -> None:
    target, base = pair("F32")
    plan, done = preview(target, base, "F32", "0.1")
    moved = np.flatnonzero(done != base)
    wide = target.view(np.float32).astype(float)
    start = base.view(np.float32).astype(float)
    sign = np.sign(wide - start)
    best = squared_difference(target, done, DTYPES["F32"])
    scale = float(np.array([plan.scale], np.uint32).view(np.float32)[0])
    for factor in (0.97, 1.03):
        other = start.copy()
        other[moved] += factor * scale * sign[moved]
        assert ((wide - other) ** 2).sum() > best


def test_not_finite_and_zero_are_never_kept() -> None:
    base = np.array([0x3F80, 0x3F80, 0x7F80, 0xFFC1, 0x0000, 0x8000, 0x3F80], np.uint16)
    target = np.array([0x7F80, 0x7FC5, 0x3F80, 0x3F80, 0x8000, 0x0000, 0x4000], np.uint16)
    plan, done = preview(target, base, "BF16", "1", cuts=2)
    assert plan.kept == 1
    assert np.flatnonzero(done != base).tolist() == [6]
    assert squared_difference(target, base, BF16) == 1.0


def test_nothing_to_keep_is_no_plan() -> None:
    words = np.full(1000, 0x7FC1, np.uint16)
    assert plan_preview([count_block(words, words, BF16)], "0.5") is None
    assert plan_preview([], "0.5") is None
    target, base = pair("BF16", 10)
    assert plan_preview([count_block(target, base, BF16)], "0.01") is None


@pytest.mark.parametrize("density", ["0", "-0.1", "1.01", "nan", "inf", "five", ""])
def test_bad_density(density: str) -> None:
    target, base = pair("BF16", 10)
    with pytest.raises(UsageError, match="density"):
        plan_preview([count_block(target, base, BF16)], density)


def test_double_differences_beyond_single_are_not_kept() -> None:
    base = np.array([0.0, 0.0], np.float64).view(np.uint64)
    target = np.array([1e300, 1.0], np.float64).view(np.uint64)
    plan, done = preview(target, base, "F64", "1", cuts=1)
    assert plan.kept == 1
    assert done.view(np.float64).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("name", FLOATS)
def test_ternary_keeps_previews_exactly(name: str) -> None:
    target, base = pair(name, 200_000)
    plan, done = preview(target, base, name, "0.05", cuts=1)
    codec = codec_named("ternary/1")
    payload = codec.encode(done, [base], DTYPES[name], plan.parameters)
    assert len(payload) * 8 / len(base) < 0.345
    assert np.array_equal(
        codec.decode(payload, len(base), [base], DTYPES[name], plan.parameters), done
    )


def test_steps_across_zero_keep_their_direction() -> None:
    """The difference of the ordered integers wraps around here; the comparison does not."""
    base = np.array([0x4300, 0xC300, 0x3F80], np.uint16)  # 128, -128, 1
    signs = np.array([-1, 1, -1])
    scale = np.float32(1e6)
    moved = rounded(
        (widened(base, BF16) + scale * signs.astype(np.float32)).astype(np.float32), BF16
    )
    codec, parameters = codec_named("ternary/1"), {"scale": f"{scale.view('u4'):08x}"}
    payload = codec.encode(moved, [base], BF16, parameters)
    assert np.array_equal(codec.decode(payload, 3, [base], BF16, parameters), moved)


def test_a_block_that_is_no_preview_is_refused() -> None:
    target, base = pair("BF16", 100)
    with pytest.raises(IncompatibleError, match="not a preview"):
        codec_named("ternary/1").encode(target, [base], BF16, {"scale": "3f800000"})


@pytest.mark.parametrize(
    "scale", [None, 5, "", "3F800000", "3f80000", "00000000", "7f800000", "7fc00000", "bf800000"]
)
def test_bad_scales_are_corrupt(scale: Any) -> None:
    base = np.zeros(3, np.uint16)
    parameters = {} if scale is None else {"scale": scale}
    with pytest.raises(CorruptError, match="scale"):
        codec_named("ternary/1").decode(b"", 3, [base], BF16, parameters)
