"""Fine-tunes of a base that has another shape, precision or orientation are small and exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

import deltastore
from deltastore.errors import IncompatibleError
from deltastore.storage.spool import PackSpool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

State = dict[str, torch.Tensor]


def model(seed: int = 0) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {
        "embed": (torch.randn(900, 64, generator=generator) * 0.05).bfloat16(),
        "square": (torch.randn(256, 256, generator=generator) * 0.05).bfloat16(),
        "wide": (torch.randn(128, 512, generator=generator) * 0.05).bfloat16(),
        "norm": torch.ones(64).bfloat16(),
        "ids": torch.arange(64),
    }


def tuned(state: State, scale: float = 2e-4) -> State:
    generator = torch.Generator().manual_seed(7)
    return {
        name: (
            (each.float() + torch.randn(each.shape, generator=generator) * scale).to(each.dtype)
            if each.is_floating_point()
            else each
        )
        for name, each in state.items()
    }


def upcast(state: State) -> State:
    return {n: t.float() if t.is_floating_point() else t for n, t in state.items()}


def downcast(state: State) -> State:
    return {n: t.half() if t.is_floating_point() else t for n, t in state.items()}


def more_rows(state: State) -> State:
    extra = torch.randn(8, 64, generator=torch.Generator().manual_seed(3)).bfloat16()
    return state | {"embed": torch.cat([state["embed"], extra])}


def fewer_rows(state: State) -> State:
    return state | {"embed": state["embed"][:-30].clone()}


def turned(state: State) -> State:
    return state | {"wide": state["wide"].T.contiguous()}


def turned_upcast(state: State) -> State:
    return upcast(turned(state))


@pytest.mark.parametrize("change", [upcast, downcast, more_rows, fewer_rows, turned, turned_upcast])
@pytest.mark.parametrize("preview", [0.05, None])
def test_the_base_is_seen_as_the_fine_tune_is(
    tmp_path: Path, change: Callable[[State], State], preview: float | None
) -> None:
    store = deltastore.init(tmp_path / "s")
    base = model()
    store.commit(base, to="me/base", message="base")
    state = change(tuned(base))
    done = store.commit(state, to="me/t", base="me/base", message="t", preview=preview)
    assert done.tensors.dense == 0
    assert done.tensors.delta >= 3
    whole = store.commit(state, to="me/w", base="none", message="w")
    assert whole.tensors.unchanged >= 3  # small ones are written rather than looked for
    found = deltastore.open(tmp_path / "s").load("me/t")
    for name, each in state.items():
        assert torch.equal(found[name], each), name
    assert store.fsck().ok
    assert store.diff("me/t", "me/w").same


def test_an_upcast_copy_of_a_version_takes_next_to_nothing(tmp_path: Path) -> None:
    store = deltastore.init(tmp_path / "s")
    store.commit(model(), to="me/base", message="base")
    done = store.commit(upcast(model()), to="me/single", base="me/base", message="in fp32")
    assert done.stored_bytes < 0.05 * done.logical_bytes


def test_previews_over_a_seen_base_come_back(tmp_path: Path) -> None:
    store = deltastore.init(tmp_path / "s")
    store.commit(model(), to="me/base", message="base")
    state = upcast(more_rows(tuned(model())))
    done = store.commit(state, to="me/t", base="me/base", message="t")
    assert done.preview_error is not None
    assert 0 < done.preview_error < 1
    shown = store.load("me/t", fidelity="preview")
    base = upcast(more_rows(model()))
    for name in ("square", "wide"):
        near = (shown[name] - state[name]).norm()
        assert 0 < near < (base[name] - state[name]).norm()


def test_a_fine_tune_of_a_seen_fine_tune(tmp_path: Path) -> None:
    store = deltastore.init(tmp_path / "s")
    store.commit(model(), to="me/base", message="base")
    first = upcast(tuned(model()))
    store.commit(first, to="me/run", base="me/base", message="1")
    second = tuned(first, 1e-5)
    done = store.commit(second, to="me/run", message="2")
    assert done.base == store.resolve("me/base")
    found = deltastore.open(tmp_path / "s").load("me/run")
    assert all(torch.equal(found[name], each) for name, each in second.items())


def test_integers_are_never_converted(tmp_path: Path) -> None:
    store = deltastore.init(tmp_path / "s")
    store.commit({"ids": torch.arange(5000)}, to="me/base", message="base")
    with pytest.raises(IncompatibleError):
        store.commit({"ids": torch.arange(5000).int()}, to="me/t", base="me/base", message="narrow")
    narrow = {"ids": torch.arange(5000).int(), "w": torch.zeros(3)}
    store.commit(narrow | {"ids": narrow["ids"]}, to="me/t", base="none", message="n")
    assert np.array_equal(store.load("me/t")["ids"].numpy(), np.arange(5000, dtype=np.int32))


def test_what_is_told_of_a_version_is_one_pack_however_small_packs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = {**(PackSpool.__init__.__kwdefaults__ or {}), "target_bytes": 4096}
    monkeypatch.setattr(PackSpool.__init__, "__kwdefaults__", defaults)
    store = deltastore.init(tmp_path / "s")
    store.commit(model(), to="me/base", message="base")
    done = store.commit(tuned(model()), to="me/t", base="me/base", message="t")
    assert done.tensors.delta >= 3
    assert store.fsck().ok
