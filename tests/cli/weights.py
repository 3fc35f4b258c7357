"""Tiny checkpoints for tests of the real program: safetensors files written byte by byte."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy.typing as npt

__all__ = [
    "Tensor",
    "assembled",
    "bf16",
    "fine_tuned",
    "safetensors_file",
    "sha256_of_files",
    "small_model",
    "write_model",
]


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file: dtype as safetensors spells it, raw little-endian content."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


def bf16(values: npt.NDArray[np.floating]) -> Tensor:
    """Finite values cut to bfloat16."""
    words = (np.ascontiguousarray(values, np.float32).view(np.uint32) >> 16).astype("<u2")
    return Tensor("BF16", values.shape, words.tobytes())


def small_model(seed: int = 0) -> dict[str, Tensor]:
    """An embedding, two matrices large enough for previews, and a norm."""
    random = np.random.default_rng(seed)
    shapes = {"embed": (64, 32), "layers.0": (128, 160), "layers.1": (160, 128), "norm": (32,)}
    return {
        name: bf16(random.standard_normal(shape).astype(np.float32) / 16)
        for name, shape in shapes.items()
    }


def fine_tuned(base: Mapping[str, Tensor], seed: int = 1) -> dict[str, Tensor]:
    """The matrices of the layers changed by at most two units in their last place."""
    random = np.random.default_rng(seed)
    changed = dict(base)
    for name, tensor in base.items():
        if name.startswith("layers"):
            words = np.frombuffer(tensor.data, "<u2")
            steps = random.integers(-2, 3, words.size)
            changed[name] = Tensor(
                tensor.dtype, tensor.shape, (words + steps).astype("<u2").tobytes()
            )
    return changed


def safetensors_file(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    padding: int | None = None,
) -> bytes:
    """The bytes of a file; `padding` blanks after the header, to a multiple of 8 unless given."""
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    data = b""
    for name, tensor in tensors.items():
        end = len(data) + len(tensor.data)
        header[name] = {
            "dtype": tensor.dtype,
            "shape": tensor.shape,
            "data_offsets": [len(data), end],
        }
        data += tensor.data
    text = json.dumps(header).encode()
    return assembled(text + b" " * (-len(text) % 8 if padding is None else padding), data)


def assembled(header: bytes, data: bytes) -> bytes:
    """Length, header, data: a file as the header says, or as it lies."""
    return len(header).to_bytes(8, "little") + header + data


def write_model(
    folder: Path, tensors: Mapping[str, Tensor], others: Mapping[str, bytes] | None = None
) -> Path:
    """A checkpoint folder of one safetensors file, a configuration, and other files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(safetensors_file(tensors, {"format": "pt"}))
    (folder / "config.json").write_bytes(b'{"hidden_size": 32}\n')
    for path, content in (others or {}).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def sha256_of_files(folder: Path, only: Iterable[str] | None = None) -> dict[str, str]:
    """SHA-256 of every file below a folder by its path, links followed; of `only` some."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in sorted(found.items())
        if only is None or name in only
    }
