from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import zstandard
from safetensors.torch import save_file

from demo.peers import raw_bytes, xor_planes_bytes, zstd_bytes

if TYPE_CHECKING:
    from pathlib import Path


def packed(data: bytes) -> int:
    return len(zstandard.ZstdCompressor(level=3).compress(data))


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "embeddings.word.weight": torch.randn(30, 8, generator=generator).to(torch.bfloat16),
        "layer.weight": torch.randn(16, 8, generator=generator).to(torch.bfloat16),
        "scale": torch.ones((), dtype=torch.float32),
    }
    save_file(tensors, tmp_path / "base.safetensors")
    moved = {name: (tensor * 1.01).to(tensor.dtype) for name, tensor in tensors.items()}
    save_file(moved, tmp_path / "exact.safetensors")
    return tmp_path / "base.safetensors", tmp_path / "exact.safetensors"


def test_raw(pair: tuple[Path, Path]) -> None:
    assert raw_bytes(pair[1]) == 480 + 256 + 4
    assert raw_bytes(pair[1], embeddings=False) == 256 + 4


def test_zstd_alone(pair: tuple[Path, Path]) -> None:
    assert 0 < zstd_bytes(pair[1], embeddings=False) < zstd_bytes(pair[1])


def test_nothing_changed_is_planes_of_zeros(pair: tuple[Path, Path]) -> None:
    expected = 2 * packed(bytes(128)) + 4 * packed(bytes(1))
    assert xor_planes_bytes(pair[0], pair[0], embeddings=False) == expected


def test_planes_are_low_bytes_and_high_bytes(tmp_path: Path) -> None:
    base = torch.zeros(300, dtype=torch.int16)
    exact = torch.arange(300, dtype=torch.int16)
    save_file({"w": base}, tmp_path / "base.safetensors")
    save_file({"w": exact}, tmp_path / "exact.safetensors")
    low, high = bytes(n % 256 for n in range(300)), bytes(n // 256 for n in range(300))
    size = xor_planes_bytes(tmp_path / "base.safetensors", tmp_path / "exact.safetensors")
    assert size == packed(low) + packed(high)


def test_without_any_tensor_the_size_is_zero(tmp_path: Path) -> None:
    save_file({"embed": torch.zeros(2)}, tmp_path / "only.safetensors")
    assert zstd_bytes(tmp_path / "only.safetensors", embeddings=False) == 0
