"""State dicts in and out: `commit` of one, `load` and `tensor`, and the file it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import deltastore
from deltastore.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    State = dict[str, torch.Tensor]


def bits(tensor: torch.Tensor) -> bytes:
    """The raw bytes, so that NaN equals NaN and -0 does not equal 0."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def same(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(
        (tensor.dtype, tensor.shape, bits(tensor))
        == (second[name].dtype, second[name].shape, bits(second[name]))
        for name, tensor in first.items()
    )


def base_state() -> State:
    random = torch.Generator().manual_seed(1)
    matrix = torch.randn(128, 160, generator=random)
    return {
        "layer.bf16": (matrix / 16).to(torch.bfloat16),
        "layer.f32": matrix[:40] / 16,
        "half": torch.tensor([float("nan"), -0.0, float("inf"), 6e-8], dtype=torch.float16),
        "ids": torch.arange(12).reshape(3, 4),
        "mask": torch.tensor([True, False]),
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.zeros(0, 4),
    }


def tuned_state() -> State:
    state = base_state()
    for name in ("layer.bf16", "layer.f32"):
        noise = torch.randn(state[name].shape, generator=torch.Generator().manual_seed(2))
        state[name] = (state[name].float() + noise * 1e-4).to(state[name].dtype)
    return state


@pytest.fixture
def store(tmp_path: Path) -> Iterator[deltastore.Store]:
    with deltastore.init(tmp_path / "models.ds", cache=tmp_path / "cache") as opened:
        opened.commit(base_state(), to="meta/base", message="base")
        opened.commit(tuned_state(), to="me/tuned", base="meta/base", message="tuned")
        yield opened


def test_what_is_loaded_is_what_was_committed(store: deltastore.Store) -> None:
    assert same(store.load("meta/base"), base_state())
    assert same(store.load("me/tuned"), tuned_state())
    assert same(store.load("me/tuned", kernels="reference"), tuned_state())


def test_some_tensors_and_some_rows(store: deltastore.Store) -> None:
    assert set(store.load("me/tuned", tensors="layer.*")) == {"layer.bf16", "layer.f32"}
    rows = store.tensor("me/tuned", "layer.f32", rows=slice(3, 5))
    assert bits(rows) == bits(tuned_state()["layer.f32"][3:5])
    with pytest.raises(NotFoundError, match=r"layer\.f33") as caught:
        store.tensor("me/tuned", "layer.f33")
    assert "layer.f32" in caught.value.hint


def test_a_preview_lies_between_base_and_version(store: deltastore.Store) -> None:
    base, rough, exact = (
        state["layer.bf16"].double()
        for state in (base_state(), store.load("me/tuned", fidelity="preview"), tuned_state())
    )
    assert 0 < (exact - rough).norm() < (exact - base).norm()
    with pytest.raises(UsageError):
        store.load("me/tuned", fidelity="rough")  # type: ignore[arg-type]  # what a caller may write


def test_a_state_dict_is_one_safetensors_file(store: deltastore.Store, tmp_path: Path) -> None:
    store.checkout("me/tuned", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.safetensors"]
    assert same(load_file(tmp_path / "out" / "model.safetensors"), tuned_state())


def test_other_files_come_along(store: deltastore.Store, tmp_path: Path) -> None:
    folder = tmp_path / "beside"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({"old": torch.zeros(4)}, folder / "model.safetensors")
    state = {"layer.f32": base_state()["layer.f32"].numpy()}
    store.commit(state, to="me/files", message="m", files=folder)
    paths = [file.path for file in store.show("me/files").files]
    assert paths == ["config.json", "model.safetensors"]
    assert set(store.load("me/files")) == {"layer.f32"}
    assert np.array_equal(store.load("me/files")["layer.f32"].numpy(), state["layer.f32"])
