"""Which stored version a new one is taken to be a fine-tune of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import deltastore
from deltastore.errors import IncompatibleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deltastore import Store

State = dict[str, torch.Tensor]


def model(seed: int, scale: float = 0.05) -> State:
    generator = torch.Generator().manual_seed(seed)

    def matrix(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, generator=generator) * scale).bfloat16()

    layers = {
        f"layers.{n}.{name}": matrix(*shape)
        for n in range(3)
        for name, shape in (("q", (64, 64)), ("k", (64, 64)), ("up", (64, 160)))
    }
    return {"embed": matrix(600, 64), **layers, "norm": torch.ones(64).bfloat16()}


def tuned(state: State, seed: int, scale: float = 3e-4) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (each.float() + torch.randn(each.shape, generator=generator) * scale).to(each.dtype)
        for name, each in state.items()
    }


def renamed(state: State) -> State:
    return {f"model.{name.replace('layers', 'h')}.weight": each for name, each in state.items()}


def transposed(state: State) -> State:
    return {name: each.T.contiguous() if "layers" in name else each for name, each in state.items()}


def longer(state: State) -> State:
    extra = torch.randn(8, 64, generator=torch.Generator().manual_seed(3)).bfloat16()
    return state | {"embed": torch.cat([state["embed"], extra])}


def single(state: State) -> State:
    return {name: each.float() for name, each in state.items()}


def half(state: State) -> State:
    return {name: each.half() for name, each in state.items()}


@pytest.fixture
def zoo(tmp_path: Path) -> Store:
    """Three bases of one architecture, and two fine-tunes of each; bases are named here."""
    store = deltastore.init(tmp_path / "zoo")
    for seed in (1, 2, 3):
        store.commit(model(seed), to=f"meta/m{seed}", message="base", base="none")
        for n in (1, 2):
            state = tuned(model(seed), 100 * seed + n)
            store.commit(state, to=f"me/m{seed}-t{n}", message="t", base=f"meta/m{seed}")
    return store


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "change",
    [dict, renamed, transposed, longer, single, half, lambda s: single(renamed(transposed(s)))],
)
def test_the_right_base_is_found(zoo: Store, seed: int, change: Callable[[State], State]) -> None:
    state = change(tuned(model(seed), 7))
    done = zoo.commit(state, to="new/one", message="whose am I?")
    assert done.base == zoo.resolve(f"meta/m{seed}")
    assert done.base_name == f"meta/m{seed}@main"
    assert done.found_base is not None
    assert done.found_base.considered >= 9
    assert done.tensors.dense <= 1  # a tensor of 64 elements is not recognized by its content
    assert done.stored_bytes < 0.6 * done.logical_bytes
    found = zoo.load("new/one")
    assert all(torch.equal(found[name], each) for name, each in state.items())


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_the_same_weights_those_of_the_same_names_are_taken(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    store = deltastore.init(tmp_path / "two")
    changes: tuple[Callable[[State], State], ...] = (dict, renamed)
    for at in order:
        store.commit(changes[at](model(1)), to=f"meta/m{at}", message="base", base="none")
    for at in order:
        state = changes[at](tuned(model(1), at))
        done = store.commit(state, to=f"me/t{at}", message="tuned")
        assert done.base == store.resolve(f"meta/m{at}")
        assert done.tensors.dense == 0


def test_a_fine_tune_of_a_fine_tune_is_based_on_that(zoo: Store) -> None:
    state = tuned(tuned(model(2), 202), 9, scale=5e-5)
    done = zoo.commit(state, to="new/one", message="more of the same")
    assert done.base == zoo.resolve("me/m2-t2")


def test_a_copy_is_based_on_what_the_original_is_based_on(zoo: Store) -> None:
    done = zoo.commit(tuned(model(2), 201), to="new/copy", message="under another name")
    assert done.base == zoo.resolve("meta/m2")
    assert done.tensors.dense + done.tensors.delta <= 1  # only the tiny one is written again
    again = zoo.commit(model(3), to="new/base-copy", message="of a base")
    assert again.base == zoo.resolve("meta/m3")


def test_strangers_have_no_base(zoo: Store) -> None:
    done = zoo.commit(model(99), to="new/one", message="trained from scratch")
    assert done.base is None
    assert done.found_base is None
    other = {"head": torch.randn(300, 300)}
    assert zoo.commit(other, to="new/two", message="another shape").base is None


def test_none_means_none_and_a_branch_keeps_its_base(zoo: Store) -> None:
    state = tuned(model(1), 7)
    assert zoo.commit(state, to="new/one", message="1", base="none").base is None
    # the parent has no base, and nobody asks for one
    assert zoo.commit(tuned(state, 8), to="new/one", message="2").base is None
    found = zoo.commit(tuned(state, 9), to="new/one", message="3", base="auto")
    assert found.base == zoo.resolve("meta/m1")  # never a commit of the branch itself
    kept = zoo.commit(tuned(model(2), 5), to="new/one", message="4", base="auto")
    assert kept.base == zoo.resolve("meta/m1")


def test_the_same_command_again_changes_nothing(zoo: Store) -> None:
    state = tuned(model(1), 7)
    first = zoo.commit(state, to="new/one", message="1", base="auto")
    again = zoo.commit(state, to="new/one", message="1", base="auto")
    assert again.unchanged
    assert again.commit == first.commit


def test_a_renamed_fine_tune_of_a_base_that_is_named(zoo: Store) -> None:
    done = zoo.commit(renamed(tuned(model(1), 7)), to="new/one", message="x", base="meta/m1")
    assert done.tensors.dense == 0
    with pytest.raises(IncompatibleError):
        zoo.commit({"head": torch.randn(300, 300)}, to="new/two", message="x", base="meta/m1")


def test_a_chain_does_not_grow_too_deep(zoo: Store) -> None:
    state = tuned(model(1), 50)
    for n in range(8):
        done = zoo.commit(state, to=f"chain/c{n}", message=str(n))
        assert done.tensors.dense == 0, n
        state = tuned(state, 60 + n, scale=5e-5)
    assert zoo.fsck().ok


def test_a_copy_in_another_precision_takes_next_to_nothing(zoo: Store) -> None:
    done = zoo.commit(single(tuned(model(2), 201)), to="new/single", message="saved in fp32")
    assert done.base == zoo.resolve("me/m2-t1")
    assert done.stored_bytes < 0.1 * done.logical_bytes


def test_files_that_no_base_makes_smaller_count_in_both_ratios(zoo: Store, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    state = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "files" / "optimizer.pt").write_bytes(state)
    done = zoo.commit(tuned(model(1), 7), to="new/one", message="m", files=tmp_path / "files")
    assert done.found_base is not None
    assert done.found_base.ratio is not None
    assert done.found_base.predicted_ratio < 1.5 * done.found_base.ratio
