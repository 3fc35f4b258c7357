"""What the codecs are for: sizes on weights like those of a fine-tune."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard

from deltastore.codecs.exact import exact_parameters
from deltastore.codecs.preview import count_block, plan_preview, preview_block
from deltastore.codecs.registry import codec_named
from deltastore.kernels.rounding import rounded
from deltastore.specs import DTYPES, TensorSpec

ROWS, ROW = 1024, 384
SIZE = ROWS * ROW
SPEC = TensorSpec("w", "BF16", (ROWS, ROW))
PARAMETERS = exact_parameters(SPEC)


def fine_tune(name: str, relative: float) -> tuple[Any, Any]:
    """Heavy-tailed rows of different scale, Laplace steps that do not depend on the weight."""
    rng = np.random.default_rng(4)
    scale = np.exp(rng.normal(0, 0.3, (ROWS, 1)))
    base = rng.standard_t(6, (ROWS, ROW)) * 0.04 * scale
    # the target starts from the rounded base, as a fine-tune does
    words = rounded(base.astype(np.float32).reshape(-1), DTYPES["BF16"])
    wide = (words.astype(np.uint32) << 16).view(np.float32)
    speed = np.repeat(np.exp(rng.normal(0, 0.4, ROWS)), ROW)
    step = rng.laplace(0, relative * 0.04, SIZE) * speed
    dtype = DTYPES[name]
    return rounded((wide + step).astype(np.float32), dtype), rounded(wide, dtype)


def bits(name: str, codec: str, target: Any, inputs: list[Any]) -> float:
    payload = codec_named(codec).encode(target, inputs, DTYPES[name], PARAMETERS)
    return 8 * len(payload) / SIZE


def xor_planes_bits(target: Any, base: Any) -> float:
    compress = zstandard.ZstdCompressor(level=3).compress
    planes = (target ^ base).view(np.uint8).reshape(-1, target.itemsize)
    return 8 * sum(len(compress(p.tobytes())) for p in planes.T) / SIZE


@pytest.mark.parametrize("relative", [0.004, 0.01])
def test_exact_is_much_smaller_than_xor_and_planes(relative: float) -> None:
    target, base = fine_tune("BF16", relative)
    assert xor_planes_bits(target, base) / bits("BF16", "exact/1", target, [base]) > 1.35


@pytest.mark.parametrize(("name", "gain"), [("F16", 1.15), ("F32", 1.03)])
def test_exact_on_wider_floats(name: str, gain: float) -> None:
    target, base = fine_tune(name, 0.004)
    assert xor_planes_bits(target, base) / bits(name, "exact/1", target, [base]) > gain


def test_a_preview_costs_little_extra() -> None:
    target, base = fine_tune("BF16", 0.004)
    dtype = DTYPES["BF16"]
    plan = plan_preview([count_block(target, base, dtype)], "0.05")
    assert plan is not None
    preview = preview_block(target, base, dtype, plan, 0)
    steps = codec_named("ternary/1").encode(preview, [base], dtype, plan.parameters)
    both = 8 * len(steps) / SIZE + bits("BF16", "exact/1", target, [preview, base])
    assert both < 1.05 * bits("BF16", "exact/1", target, [base])


def test_untouched_rows_cost_almost_nothing() -> None:
    target, base = fine_tune("BF16", 0.004)
    still = target.copy()
    still[ROW * ROWS // 2 :] = base[ROW * ROWS // 2 :]
    whole, half = (bits("BF16", "exact/1", each, [base]) for each in (target, still))
    assert half < 0.51 * whole
    one = base.copy()
    one[5] ^= 1
    assert len(codec_named("exact/1").encode(one, [base], DTYPES["BF16"], PARAMETERS)) < 60


def test_rare_changes() -> None:
    """As in reinforcement learning: one weight in fifty moves by its last bit."""
    _, base = fine_tune("BF16", 0.004)
    rng = np.random.default_rng(6)
    moved = rng.random(SIZE) < 0.02
    target = base + moved.astype(np.uint16)
    signs = 0.02
    entropy = signs - (0.02 * np.log2(0.02) + 0.98 * np.log2(0.98))
    assert bits("BF16", "sparse/1", target, [base]) < 1.04 * entropy
    assert bits("BF16", "exact/1", target, [base]) < 1.4 * entropy


def test_small_steps_change_small_weights() -> None:
    """Steps far below the last bit show only where weights are small, which exact/1 knows."""
    target, base = fine_tune("BF16", 0.0001)
    changed = float(np.mean(target != base))
    assert 0.01 < changed < 0.04
    sparse = bits("BF16", "sparse/1", target, [base])
    assert bits("BF16", "exact/1", target, [base]) < 0.85 * sparse


def test_dense_bf16_weights() -> None:
    _, base = fine_tune("BF16", 0.004)
    share = np.bincount(base >> 7 & 255) / SIZE
    share = share[share > 0]
    entropy = 8 - float((share * np.log2(share)).sum())  # sign and mantissa are noise
    assert bits("BF16", "dense/1", base, []) < 1.005 * entropy


@pytest.mark.parametrize(
    ("dtype", "shape", "row"),
    [
        ("BF16", (), 1),
        ("BF16", (30,), 30),
        ("BF16", (30522, 384), 384),
        ("F16", (64, 64, 3, 3), 576),
        ("F32", (8, 1, 1), 8),
        ("C64", (4, 32), 64),
        ("BF16", (0, 7), 1),
        ("U8", (10**6,), 10**6),
    ],
)
def test_rows(dtype: str, shape: tuple[int, ...], row: int) -> None:
    assert exact_parameters(TensorSpec("w", dtype, shape)) == {"row": row}


@pytest.mark.parametrize("codec", ["dense/1", "exact/1", "sparse/1"])
@pytest.mark.parametrize("name", ["BF16", "F16", "I16", "U8", "F32"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 1.0])
def test_noise_is_hardly_larger_than_itself(codec: str, name: str, share: float) -> None:
    """Also where most words, but not all, have nothing in common with the reference."""
    rng = np.random.default_rng(2)
    kind = f"u{DTYPES[name].word_bytes}"
    base, noise = (rng.integers(0, 2**16, 2**18).astype(kind) for _ in range(2))
    target = np.where(rng.random(2**18) < share, noise, base)
    inputs = [base] * min(codec_named(codec).input_counts)
    payload = codec_named(codec).encode(target, inputs, DTYPES[name], PARAMETERS)
    assert len(payload) <= target.nbytes * 1.002 + 200
