"""Blocks tile every tensor as format-v1 6.1 says."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np
import pytest

from deltastore.codecs.blocks import BLOCK_WORDS, as_words, block_layout
from deltastore.specs import DTYPES, TensorSpec

M = BLOCK_WORDS


@pytest.mark.parametrize(
    ("dtype", "shape", "words", "bounds"),
    [
        ("BF16", (), 1, [(0, 1)]),
        ("BF16", (0, 5), 0, []),
        ("BF16", (5, 0), 0, []),
        ("F32", (M,), M, [(0, M)]),
        ("BF16", (2, M), 2 * M, [(0, M), (M, 2 * M)]),
        ("BF16", (M + 1,), M + 1, [(0, M // 2 + 1), (M // 2 + 1, M + 1)]),
        ("F32", (3, 700_000), 2_100_000, [(i * 700_000, (i + 1) * 700_000) for i in range(3)]),
        ("F32", (3, 500_000), 1_500_000, [(0, 1_000_000), (1_000_000, 1_500_000)]),
        ("C64", (3, 250_000), 1_500_000, [(0, 1_000_000), (1_000_000, 1_500_000)]),
        ("F4", (4, M), 2 * M, [(0, M), (M, 2 * M)]),
        ("F6_E2M3", (M, 4), 3 * M, [(0, M), (M, 2 * M), (2 * M, 3 * M)]),
        (
            "U8",
            (2, 2 * M + 1),
            4 * M + 2,
            [
                *[(0, 699_051), (699_051, 1_398_102), (1_398_102, 2_097_153)],
                *[(2_097_153, 2_796_204), (2_796_204, 3_495_255), (3_495_255, 4_194_306)],
            ],
        ),
    ],
)
def test_bounds(
    dtype: str, shape: tuple[int, ...], words: int, bounds: list[tuple[int, int]]
) -> None:
    layout = block_layout(TensorSpec("w", dtype, shape))
    assert layout.words == words
    assert [layout.bounds(i) for i in range(layout.count)] == bounds
    size = DTYPES[dtype].word_bytes
    assert [layout.byte_bounds(i) for i in range(layout.count)] == [
        (start * size, stop * size) for start, stop in bounds
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(7, 8), (1000, 1048), (3, 1 << 20), (5, (1 << 21) + 8), (8,)])
def test_blocks_tile_the_tensor(dtype: str, shape: tuple[int, ...]) -> None:
    layout = block_layout(TensorSpec("w", dtype, shape))
    cuts = [layout.bounds(i) for i in range(layout.count)]
    assert cuts[0][0] == 0
    assert (
        cuts[-1][1]
        == layout.words
        == prod(shape) * DTYPES[dtype].bits // 8 // (DTYPES[dtype].word_bytes)
    )
    assert all(before[1] == after[0] for before, after in pairwise(cuts))
    assert all(0 < stop - start <= M for start, stop in cuts)


def test_bounds_of_a_tensor_too_large_to_hold_are_instant() -> None:
    layout = block_layout(TensorSpec("w", "U8", (2**38, 2**20)))
    assert layout.count == 2**38
    assert layout.bounds(2**38 - 1) == (2**58 - 2**20, 2**58)


@pytest.mark.parametrize("block", [-1, 1])
def test_no_such_block(block: int) -> None:
    with pytest.raises(IndexError, match="of 1"):
        block_layout(TensorSpec("w", "BF16", (2,))).bounds(block)


def test_words_are_views_of_aligned_bytes() -> None:
    data = bytearray(b"\1\2\3\4")
    words = as_words(data, DTYPES["BF16"])
    assert words.tolist() == [0x0201, 0x0403]
    data[0] = 9
    assert words[0] == 0x0209
    assert as_words(b"", DTYPES["F64"]).dtype == np.dtype("<u8")


def test_words_of_unaligned_bytes_are_copies() -> None:
    data = memoryview(bytes(range(17)))
    for offset in range(8):
        words = as_words(data[offset : offset + 8], DTYPES["F32"])
        assert words.flags.aligned
        assert words.tobytes() == bytes(range(offset, offset + 8))
