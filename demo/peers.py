"""What other ways of storing the same fine-tune take: pure functions over two safetensors files.

Both ways can leave out the embedding tensors: a fine-tune touches only the rows of the tokens it
saw, which flatters every delta, so the sizes without them are the harder comparison.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import zstandard
from safetensors import safe_open

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]

LEVEL = 3
EMBEDDING_MARK = "embed"  # part of the names of embedding tensors, such as `embeddings.` of BERT


def raw_bytes(exact: Path, *, embeddings: bool = True) -> int:
    """Return the size of a file's tensors as they are, in bytes without headers.

    Args:
        exact: A safetensors file.
        embeddings: Whether embedding tensors count.
    """
    return sum(data.size for _, data in _tensors(exact, embeddings=embeddings))


def zstd_bytes(exact: Path, *, embeddings: bool = True) -> int:
    """Return the size of a fine-tune's tensors under zstd level 3 alone, as one stream, in bytes.

    Args:
        exact: The fine-tune's safetensors file.
        embeddings: Whether embedding tensors count.
    """
    tensors = [data for _, data in _tensors(exact, embeddings=embeddings)]
    return _compressed(np.concatenate(tensors)) if tensors else 0


def xor_planes_bytes(base: Path, exact: Path, *, embeddings: bool = True) -> int:
    """Return the size of a fine-tune as XOR with its base, in byte planes, under zstd level 3.

    Every plane of every tensor is compressed on its own.

    Args:
        base: The base's safetensors file, with the same names, shapes and dtypes.
        exact: The fine-tune's safetensors file.
        embeddings: Whether embedding tensors count.

    Returns:
        Bytes over all tensors, without headers.
    """
    widths = _element_bytes(exact)
    before = dict(_tensors(base, embeddings=embeddings))
    total = 0
    for name, data in _tensors(exact, embeddings=embeddings):
        planes = (before[name] ^ data).reshape(-1, widths[name]).T  # (bytes, elements)
        total += sum(_compressed(np.ascontiguousarray(plane)) for plane in planes)
    return total


def _tensors(path: Path, *, embeddings: bool) -> Iterator[tuple[str, Bytes]]:
    """Yield the names of a file's tensors, sorted, and their bytes in memory order."""
    with safe_open(path, framework="pt") as file:
        for name in sorted(file.keys()):
            if embeddings or EMBEDDING_MARK not in name:
                flat = file.get_tensor(name).contiguous().reshape(-1)
                yield name, flat.view(torch.uint8).numpy()


def _element_bytes(path: Path) -> dict[str, int]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).element_size() for name in file.keys()}  # noqa: SIM118


def _compressed(data: Bytes) -> int:
    return len(zstandard.ZstdCompressor(level=LEVEL).compress(data.tobytes()))
