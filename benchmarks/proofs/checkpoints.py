"""Synthetic bf16 checkpoints and fine-tunes of them, written as a stream: nothing is held whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

__all__ = ["Synthetic", "write_checkpoint"]

PIECE = 1 << 22
"""Elements made at once, at most."""

WEIGHT_SCALE = 0.02
CHANGE_SCALE = 1e-4
"""Standard deviations of weights and of what training adds: |change| / |weight| is 5e-3."""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A family of checkpoints.

    Attributes:
        shards: safetensors files.
        tensors: in each of them.
        rows: of each tensor.
        columns: of each tensor.
        seed: of the base's weights.
    """

    shards: int = 1
    tensors: int = 8
    rows: int = 512
    columns: int = 512
    seed: int = 0

    @property
    def tensor_bytes(self) -> int:
        """Of one tensor, in bf16."""
        return 2 * self.rows * self.columns

    @property
    def nbytes(self) -> int:
        """Of all tensors."""
        return self.shards * self.tensors * self.tensor_bytes


def write_checkpoint(folder: Path, family: Synthetic, *, variant: int = 0) -> None:
    """Write one member of a family.

    Args:
        folder: made if absent; files in the way are replaced.
        family: what it looks like.
        variant: 0 for the base; any other number for a fine-tune in which every weight moved.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pools = _Pools(family, variant)
    files = {}
    for shard in range(family.shards):
        name = f"model-{shard + 1:05}-of-{family.shards:05}.safetensors"
        if family.shards == 1:
            name = "model.safetensors"
        names = [f"layers.{shard}.{number}.weight" for number in range(family.tensors)]
        files.update(dict.fromkeys(names, name))
        with (folder / name).open("wb") as file:
            _write_shard(file, family, names, pools)
    if family.shards > 1:
        index = {"metadata": {"total_size": family.nbytes}, "weight_map": files}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps({"variant": variant, "family": family.seed}))


def _write_shard(file: IO[bytes], family: Synthetic, names: list[str], pools: _Pools) -> None:
    size, shape = family.tensor_bytes, [family.rows, family.columns]
    header: dict[str, Any] = {
        name: {"dtype": "BF16", "shape": shape, "data_offsets": [n * size, (n + 1) * size]}
        for n, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for _ in names:
        left = size // 2
        while left:
            piece = pools.take(min(left, PIECE))
            file.write(piece.data)
            left -= piece.size


class _Pools:
    """Two pools of random numbers, read at ever new offsets: far cheaper than fresh ones."""

    def __init__(self, family: Synthetic, variant: int) -> None:
        size = min(PIECE, family.nbytes // 2) + 1021
        self._weights = _normal(family.seed, 0, size) * np.float32(WEIGHT_SCALE)
        self._changes = _normal(family.seed, 1, size) * np.float32(CHANGE_SCALE)
        self._variant = variant
        self._turn = 0

    def take(self, count: int) -> npt.NDArray[np.uint16]:
        """The next `count` weights, as the words of bf16."""
        self._turn += 1
        weights = np.roll(self._weights, 7919 * self._turn)[:count]
        if self._variant:
            weights += np.roll(self._changes, 104729 * self._variant + 31 * self._turn)[:count]
        return _bf16(weights)


def _normal(seed: int, stream: int, size: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng([seed, stream]).standard_normal(size, np.float32)


def _bf16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Round to nearest, ties to even; no NaN comes here."""
    bits = values.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16)
