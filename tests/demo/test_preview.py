from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import torch

from demo.preview import (
    SMALLEST,
    narrow,
    preview_error,
    preview_tensor,
    relative_change,
    widen,
)


def test_rounding_is_the_one_of_torch() -> None:
    values = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    expected = values.to(torch.bfloat16).view(torch.uint16).numpy()
    assert np.array_equal(narrow(values.numpy()), expected)


def test_halfway_goes_to_even() -> None:
    halfway = np.array([0x3F808000, 0x3F818000], np.uint32).view(np.float32)
    assert narrow(halfway).tolist() == [0x3F80, 0x3F82]


def test_small_tensors_are_exact() -> None:
    base = narrow(np.ones(SMALLEST - 1, np.float32))
    exact = narrow(np.full(SMALLEST - 1, 2, np.float32))
    assert np.array_equal(preview_tensor(base, exact), exact)


def test_ties_keep_the_lowest_indices_and_share_one_magnitude() -> None:
    base = np.zeros((2, SMALLEST // 2), np.uint16)
    moved = np.full(base.shape, 0.5, np.float32)
    moved[0, 0], moved[0, 1] = -1.5, 0.25
    shown = widen(preview_tensor(base, narrow(moved))).ravel()
    kept = round(0.05 * SMALLEST)
    expected = widen(narrow(np.array([0.5 + 1 / kept], np.float32)))[0]
    assert np.flatnonzero(shown).tolist() == [0, *range(2, kept + 1)]
    assert shown[0] == -expected
    assert set(shown[2 : kept + 1].tolist()) == {expected}


def test_kept_elements_keep_the_sign_of_their_change() -> None:
    rng = np.random.default_rng(0)
    base = narrow(rng.normal(0, 0.05, SMALLEST).astype(np.float32))
    exact = narrow(widen(base) + rng.normal(0, 1e-3, SMALLEST).astype(np.float32))
    shown = preview_tensor(base, exact)
    changed = shown != base
    assert 0 < changed.sum() <= round(0.05 * SMALLEST)
    signs = np.sign(widen(shown) - widen(base))[changed]
    assert np.array_equal(signs, np.sign(widen(exact) - widen(base))[changed])


def test_error_of_normal_changes_is_the_expected_one() -> None:
    rng = np.random.default_rng(0)
    base = {"w": narrow(np.zeros(200_000, np.float32))}
    exact = {"w": narrow(rng.normal(0, 1, 200_000).astype(np.float32))}
    shown = {"w": preview_tensor(base["w"], exact["w"])}
    cut = NormalDist().inv_cdf(0.975)  # 5 % of normal values lie beyond it, on both sides
    mean = NormalDist().pdf(cut) / 0.025  # of their magnitudes
    expected = (1 - 0.05 * mean**2) ** 0.5
    assert preview_error(base, exact, shown) == pytest.approx(expected, abs=0.003)
    assert preview_error(base, exact, exact) == 0
    assert preview_error(base, exact, base) == 1


def test_relative_change() -> None:
    base = {"w": narrow(np.full(4, 2, np.float32)), "v": narrow(np.zeros(1, np.float32))}
    exact = {"w": narrow(np.full(4, 3, np.float32)), "v": base["v"]}
    assert relative_change(base, exact) == 0.5
