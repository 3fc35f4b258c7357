"""Versions as PyTorch state dicts, and arrays of either library as raw bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from deltastore.errors import (
    InvalidError,
    UnsupportedError,
    UsageError,
)
from deltastore.specs import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from deltastore.materialize.tensors import Bytes, TensorReader, Wanted

__all__ = [
    "PreviewState",
    "check_device",
    "load_tensors",
    "raw_arrays",
    "some_rows",
    "torch_tensor",
]

T = TypeVar("T")


_TORCH_NAMES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "F8_E5M2": "float8_e5m2",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "I16": "int16",
    "U16": "uint16",
    "F16": "float16",
    "BF16": "bfloat16",
    "I32": "int32",
    "U32": "uint32",
    "F32": "float32",
    "I64": "int64",
    "U64": "uint64",
    "F64": "float64",
    "C64": "complex64",
}

_NUMPY_NAMES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "int64": "I64",
    "uint64": "U64",
    "float64": "F64",
    "complex64": "C64",
}


class PreviewState(dict[str, T]):
    """A state dict of previewed tensors, which `commit` does not take for the real thing."""


def check_device(device: str) -> None:
    """Refuse a device before anything is read for it.

    Raises:
        UsageError: PyTorch knows no such device, or has none here.
    """
    import torch  # noqa: PLC0415 - see `torch_tensor`

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, ValueError) as reason:
        told = str(reason).partition("\n")[0]
        raise UsageError(
            f"device {device!r}: {told}", hint="cpu, or a device that PyTorch has here"
        ) from None


def some_rows(tensor: torch.Tensor, rows: Any) -> torch.Tensor:
    """Some rows of a tensor's first axis.

    Raises:
        UsageError: the tensor has no axis, or PyTorch does not take such a slice.
    """
    if not isinstance(rows, slice) or not tensor.ndim:
        what = "a slice is needed" if tensor.ndim else "a single number has no rows"
        raise UsageError(f"rows={rows!r}: {what}", hint="such as rows=slice(0, 128)")
    try:
        found: torch.Tensor = tensor[rows]
    except (TypeError, ValueError, IndexError) as reason:
        raise UsageError(f"rows={rows!r}: {reason}", hint="such as rows=slice(0, 128)") from None
    return found


def load_tensors(
    wanted: Mapping[str, Wanted],
    reader: TensorReader,
    *,
    device: str,
    report: Callable[[str, int, int], None],
) -> dict[str, torch.Tensor]:
    """Reconstruct tensors into a state dict, one at a time.

    Args:
        wanted: by name.
        reader: of the version's tensors.
        device: as PyTorch spells it.
        report: called with "load", bytes done and bytes in all.
    """
    done, total = 0, sum(item.spec.nbytes for item in wanted.values())
    state = {}
    contents = reader.read_many(wanted.values())
    for (name, item), content in zip(wanted.items(), contents, strict=True):
        state[name] = torch_tensor(content, item.spec).to(device)
        done += item.spec.nbytes
        report("load", done, total)
    return state


def torch_tensor(content: Bytes, spec: TensorSpec) -> torch.Tensor:
    """Raw bytes as a tensor, sharing memory.

    Raises:
        UnsupportedError: PyTorch has no such dtype.
    """
    import torch  # noqa: PLC0415 - 0.75 s and 200 MB that only state dicts need

    name = _TORCH_NAMES.get(spec.dtype)
    dtype = getattr(torch, name, None) if name else None
    if dtype is None:
        raise UnsupportedError(
            f"tensor {spec.name!r}: PyTorch has no dtype for {spec.dtype}",
            hint="check the files out instead",
        )
    if not content.nbytes:
        return torch.empty(spec.shape, dtype=dtype)
    return torch.from_numpy(content).view(dtype).reshape(spec.shape)


def raw_arrays(state: Mapping[str, Any]) -> dict[str, tuple[TensorSpec, Bytes]]:
    """A state dict of PyTorch tensors or NumPy arrays as specs and raw little-endian bytes.

    Args:
        state: name to tensor; the bytes are shared with it, except that tensors that are not
            contiguous or on other devices are copied.

    Raises:
        InvalidError: a value that is neither, or of a dtype that safetensors cannot hold.
    """
    return {name: _raw(name, value) for name, value in state.items()}


def _raw(name: str, value: Any) -> tuple[TensorSpec, Bytes]:
    if not isinstance(name, str):
        raise InvalidError(f"{name!r}: names of tensors are texts")
    if isinstance(value, np.ndarray):
        return _raw_array(name, value)
    if type(value).__module__.partition(".")[0] != "torch" or not hasattr(value, "detach"):
        raise InvalidError(
            f"{name!r}: {type(value).__name__} is neither a PyTorch tensor nor a NumPy array",
            hint="commit takes a folder, a file, or a mapping of names to tensors",
        )
    return _raw_tensor(name, value)


def _raw_array(name: str, value: np.ndarray[Any, Any]) -> tuple[TensorSpec, Bytes]:
    dtype = _NUMPY_NAMES.get(value.dtype.name)
    if dtype is None:
        raise InvalidError(f"{name!r}: safetensors has no dtype for {value.dtype}")
    little = value.astype(value.dtype.newbyteorder("<"), copy=False)
    content = np.ascontiguousarray(little).reshape(-1).view(np.uint8)
    return TensorSpec(name, dtype, value.shape), content


def _raw_tensor(name: str, value: torch.Tensor) -> tuple[TensorSpec, Bytes]:
    import torch  # noqa: PLC0415 - see above; the caller has loaded it

    spelled = str(value.dtype).removeprefix("torch.")
    dtype = next((ours for ours, theirs in _TORCH_NAMES.items() if theirs == spelled), None)
    if dtype is None or value.layout != torch.strided:
        raise InvalidError(f"{name!r}: safetensors cannot hold {value.dtype} {value.layout}")
    if value.is_meta:
        raise InvalidError(
            f"{name!r}: a tensor on the device 'meta' has a shape and no values",
            hint="load the model's weights before committing them",
        )
    # conjugation and negation may be lazy in PyTorch: flags on a view, not yet in the bytes
    flat = value.detach().resolve_conj().resolve_neg().to("cpu").contiguous().reshape(-1)
    content = flat.view(torch.uint8).numpy() if flat.numel() else np.empty(0, np.uint8)
    return TensorSpec(name, dtype, tuple(value.shape)), content
