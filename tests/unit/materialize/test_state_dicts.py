"""Arrays of PyTorch and NumPy as raw bytes: the values, not how a view happens to be flagged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from deltastore.errors import InvalidError
from deltastore.materialize.state_dicts import raw_arrays, torch_tensor


def back(value: Any) -> torch.Tensor:
    spec, content = raw_arrays({"x": value})["x"]
    return torch_tensor(content.copy(), spec)


def test_lazily_conjugated_and_negated_tensors() -> None:
    value = torch.complex(torch.arange(4.0), torch.arange(1.0, 5.0))
    assert value.conj().is_conj()
    assert back(value.conj()).equal(torch.conj_physical(value))
    assert value.conj().imag.is_neg()
    assert back(value.conj().imag).equal(-torch.arange(1.0, 5.0))


def test_tensors_without_values_are_refused() -> None:
    with pytest.raises(InvalidError, match="'x': a tensor on the device 'meta'"):
        raw_arrays({"x": torch.empty(3, device="meta")})


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0, 3)])
@pytest.mark.parametrize("dtype", ["<f4", "<f2", "|u1", "|b1", "<c8", "<i8"])
def test_contiguous_arrays_are_shared_not_copied(shape: tuple[int, ...], dtype: str) -> None:
    array = np.ones(shape, dtype)
    spec, content = raw_arrays({"x": array})["x"]
    assert spec.shape == shape
    assert content.tobytes() == array.tobytes()
    assert content.ndim == 1
    assert content.dtype == np.uint8
    assert np.shares_memory(content, array) or not array.size


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=">i4").reshape(3, 4),
        np.arange(12, dtype="<i4").reshape(3, 4).T,
        np.arange(24, dtype="<i4").reshape(4, 6)[::2, 1::2],
        np.asfortranarray(np.arange(12, dtype="<f8").reshape(3, 4)),
        np.array(5, dtype=">u2"),
    ],
)
def test_other_layouts_and_byte_orders(array: np.ndarray[Any, Any]) -> None:
    spec, content = raw_arrays({"x": array})["x"]
    assert spec.shape == array.shape
    assert content.tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


@pytest.mark.parametrize("value", [1.0, None, [1], np.array(["a"]), np.array([None]), "w"])
def test_what_is_no_tensor_is_refused(value: Any) -> None:
    with pytest.raises(InvalidError, match="'x'"):
        raw_arrays({"x": value})
