"""Versions in which several files have a tensor of one name, such as diffusers' folders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

import deltastore
from deltastore.errors import AmbiguousError, IncompatibleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore import Store

UNET = "unet/model.safetensors"
VAE = "vae/model.safetensors"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    shared = torch.full((3,), 7.0)
    for number, path in enumerate((UNET, VAE), 1):
        (tmp_path / "sd" / path).parent.mkdir(parents=True)
        state = {"conv": torch.full((4, 4), float(number)), "shared": shared}
        save_file(state, tmp_path / "sd" / path)
    with deltastore.init(tmp_path / "store", threads=1) as opened:
        opened.commit(tmp_path / "sd", to="me/sd", message="m", preview=None)
        yield opened


def test_loading_refuses_what_one_state_dict_cannot_hold(store: Store) -> None:
    with pytest.raises(IncompatibleError, match=r"'conv' is in unet.*and.*in vae") as caught:
        store.load("me/sd")
    assert f"tensors='{VAE}:*'" in caught.value.hint


def test_exporting_refuses_and_writes_nothing(store: Store, tmp_path: Path) -> None:
    for target in ("out", "out.safetensors"):
        with pytest.raises(IncompatibleError):
            store.export("me/sd", tmp_path / target)
        assert not (tmp_path / target).exists()


def test_a_qualified_glob_selects_one_of_them(store: Store, tmp_path: Path) -> None:
    loaded = store.load("me/sd", tensors="vae/*.safetensors:*")
    assert set(loaded) == {"conv", "shared"}
    assert loaded["conv"].eq(2).all()
    store.export("me/sd", tmp_path / "x.safetensors", tensors=f"{UNET}:conv")
    assert load_file(tmp_path / "x.safetensors")["conv"].eq(1).all()


def test_the_same_tensor_twice_is_no_collision(store: Store) -> None:
    assert store.load("me/sd", tensors="shared")["shared"].eq(7).all()
    assert store.tensor("me/sd", "shared").eq(7).all()


def test_one_tensor_is_named_with_its_file(store: Store) -> None:
    assert store.tensor("me/sd", f"{VAE}:conv").eq(2).all()
    with pytest.raises(AmbiguousError, match="'conv'") as caught:
        store.tensor("me/sd", "conv")
    assert caught.value.hint == f"one of: {UNET}:conv, {VAE}:conv"
