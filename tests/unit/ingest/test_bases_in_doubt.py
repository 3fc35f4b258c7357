"""Bases that nobody named: damage in them, another one by now, names and shapes that mislead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import deltastore
from deltastore.errors import IntegrityError
from deltastore.storage.keys import pack_key

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore import Store

State = dict[str, torch.Tensor]


def model(seed: int) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"layers.{n}.{name}": (torch.randn(*shape, generator=generator) * 0.05).bfloat16()
        for n in range(2)
        for name, shape in (("q", (140, 140)), ("up", (100, 160)))
    }


def tuned(state: State, seed: int = 7, scale: float = 3e-4) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (each.float() + torch.randn(each.shape, generator=generator) * scale).to(each.dtype)
        for name, each in state.items()
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = deltastore.init(tmp_path / "s", cache=tmp_path / "cache")
    made.commit(model(1), to="me/base", message="base", base="none")
    return made


def damage(store: Store, root: Path, revision: str, *, remove: bool) -> None:
    """Take away, or change a byte of, every pack of weights that a version is in."""
    version = store._session().version(store._resolve(revision).commit)
    digests = [tensor.digest for tensor in version.tensors.values()]
    packs = {p.pack for kept in version.closure.needed(digests) for p in kept.placements}
    for pack in packs:
        path = root / "s" / pack_key(pack)
        data = bytearray(path.read_bytes())
        path.chmod(0o644)
        path.unlink()
        if not remove:
            data[-70] ^= 1
            data[len(data) // 2] ^= 1
            path.write_bytes(data)


@pytest.mark.parametrize("remove", [True, False])
def test_damage_in_a_base_that_nobody_named_stops_no_commit(
    store: Store, tmp_path: Path, remove: bool
) -> None:
    store.ls()
    store.sql("SELECT 1")  # what is found is known before the damage
    damage(store, tmp_path, "me/base", remove=remove)
    state = tuned(model(1))
    again = deltastore.open(tmp_path / "s", cache=tmp_path / "cache")
    done = again.commit(state, to="me/new", message="m")
    assert done.tensors.dense == len(state)
    found = again.load("me/new")
    assert all(torch.equal(found[name], each) for name, each in state.items())
    with pytest.raises(IntegrityError):
        again.commit(tuned(model(1), 8), to="me/named", message="m", base="me/base")


def test_the_same_files_are_unchanged_whatever_came_since(store: Store) -> None:
    state = model(5)
    first = store.commit(state, to="me/new", message="m", base="auto")
    assert first.base is None
    store.commit(tuned(state), to="me/later", message="a fine-tune of it", base="me/new")
    again = store.commit(state, to="me/new", message="m", base="auto")
    assert (again.commit, again.unchanged, again.base) == (first.commit, True, None)
    named = store.commit(state, to="me/new", message="m", base="me/base")
    assert not named.unchanged


def test_the_same_base_is_found_twice(store: Store, tmp_path: Path) -> None:
    for n in range(12):
        store.commit(tuned(model(1), n), to=f"me/t{n}", message="t", base="me/base")
    found = set()
    for n in range(4):
        fresh = deltastore.open(tmp_path / "s", cache=tmp_path / f"cache{n}")
        found.add(fresh.commit(tuned(model(1), 99), to=f"me/x{n}", message="x").base)
        fresh.rm([f"me/x{n}"])
    assert found == {store.resolve("me/base")}


def test_one_name_in_two_files_is_told_apart_by_content(store: Store, tmp_path: Path) -> None:
    parts = {"text/m.safetensors": model(20), "vision/m.safetensors": model(21)}
    for path, state in parts.items():
        (tmp_path / "old" / path).parent.mkdir(parents=True)
        save_file(state, tmp_path / "old" / path)
    store.commit(tmp_path / "old", to="me/two", message="m", base="none")
    for path, state in zip(("a/m.safetensors", "b/m.safetensors"), parts.values(), strict=True):
        (tmp_path / "new" / path).parent.mkdir(parents=True)
        save_file(tuned(state), tmp_path / "new" / path)
    done = store.commit(tmp_path / "new", to="me/renamed", message="m")
    assert done.base == store.resolve("me/two")
    assert done.tensors.dense == 0
    assert done.stored_bytes < 0.6 * done.logical_bytes


def test_square_matrices_of_a_transposed_base_that_is_named(store: Store) -> None:
    state = {name: each.T.contiguous() for name, each in tuned(model(1)).items()}
    done = store.commit(state, to="me/turned", message="m", base="me/base")
    assert done.tensors.delta == len(state)
    assert done.preview_error is not None
    assert done.preview_error < 1
    whole = store.commit(tuned(state, 3), to="me/turned", message="2")
    assert whole.base == done.base
    assert whole.preview_error is not None
    found = store.load("me/turned")
    assert all(torch.equal(found[name], each) for name, each in tuned(state, 3).items())
