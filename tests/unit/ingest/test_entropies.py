"""Bits per word from a sample, against what all words take."""

from __future__ import annotations

import numpy as np
import pytest

from deltastore.ingest.entropies import bits_of_differences


def long(values: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> float:
    return float(bits_of_differences(values.astype(np.uint32)[None, :])[0])


def test_nothing_changed_costs_nothing() -> None:
    for dtype in (np.uint8, np.uint16, np.uint32, np.uint64):
        assert bits_of_differences(np.zeros((3, 256), dtype)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("count", [64, 256])
@pytest.mark.parametrize("octave", [4, 8, 14, 17, 24])
def test_long_words_cost_the_entropy_of_their_bytes(count: int, octave: int) -> None:
    values = np.random.default_rng(octave).integers(0, 1 << octave, count)
    assert long(values) == pytest.approx(octave, rel=0.05, abs=0.6)


def test_few_values_are_cheap_however_large() -> None:
    draw = np.random.default_rng(1)
    few = draw.choice(np.array([51, 52, 77, 78]) << 12, 256)
    many = draw.integers(0, 1 << 8, 256)
    assert long(few) < 4.5
    assert long(many) > 7.5
    short = bits_of_differences(np.stack([few, many]).astype(np.uint32))
    assert short.tolist() == [long(few), long(many)]


def test_short_words_cost_more_the_more_they_differ() -> None:
    draw = np.random.default_rng(2)
    rows = [2 * draw.geometric(1 / mean, 4096) for mean in (2, 8, 32, 128)]
    bits = bits_of_differences(np.stack(rows).astype(np.uint16)).tolist()
    assert bits == sorted(bits)
    # an octave is a bit
    assert bits[3] - bits[2] == pytest.approx(2, abs=0.1)
