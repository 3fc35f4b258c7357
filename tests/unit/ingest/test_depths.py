"""However tensors come to be referred to, none is kept too far from one that is kept whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch

import deltastore
from deltastore.errors import MissingObjectError
from deltastore.ingest.known import MAX_STEPS, steps
from deltastore.ingest.writing import VersionWriter
from deltastore.materialize.closure import MAX_DEPTH

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore import Store
    from deltastore.ingest.written import WrittenVersion

State = dict[str, torch.Tensor]


def matrix(seed: int, scale: float = 0.05) -> torch.Tensor:
    """Large enough for a preview, small enough not to be looked for elsewhere."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(140, 140, generator=generator) * scale).bfloat16()


def near(state: State, seed: int, scale: float = 1e-4) -> State:
    return {name: (t.float() + matrix(seed, scale).float()).bfloat16() for name, t in state.items()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = deltastore.init(tmp_path / "s", cache=tmp_path / "cache")
    made.commit({"w": matrix(0)}, to="me/base", message="base", base="none")
    return made


def chain_to(store: Store, target: State, length: int) -> str:
    """Versions each based on the one before, all close to the target: two steps of depth each."""
    base = "me/base"
    for n in range(length):
        store.commit(near(target, 10 + n), to=f"chain/c{n}", message="c", base=base)
        base = f"chain/c{n}"
    return base


def depth_and_steps(store: Store, revision: str) -> tuple[int, int]:
    version = store._session().version(store._resolve(revision).commit)
    digest = version.tensors["w"].digest
    return version.closure[digest].depth, steps(version.closure, digest)


@pytest.mark.parametrize("preview", [0.05, None])
def test_no_exact_layer_goes_over_a_preview_that_is_kept_deep(
    store: Store, preview: float | None
) -> None:
    target = near({"w": matrix(0)}, 1, 3e-4)
    store.commit(target, to="other/exact", message="x", base="me/base")
    shown = store.load("other/exact", fidelity="preview")
    store.rm(["other/exact"])
    base = chain_to(store, shown, 3)
    # a preview as a version of its own, as deep as can be; then, after it, what it is a preview of
    store.commit(shown, to="me/run", message="q", base=base, preview=preview, lossy=True)
    assert depth_and_steps(store, "me/run")[1] == MAX_STEPS
    nudged = target | {"more": matrix(5)}
    store.commit(nudged, to="me/run", message="w", base="me/base")
    depth, far = depth_and_steps(store, "me/run")
    assert depth <= MAX_DEPTH
    assert far <= MAX_STEPS
    assert torch.equal(store.load("me/run")["w"], target["w"])
    assert store.fsck(tensors=True).ok


def test_of_two_representations_of_a_reference_the_less_deep_is_relied_on(store: Store) -> None:
    target = {"w": matrix(2)}
    base = chain_to(store, target, 5)
    assert depth_and_steps(store, base)[0] == MAX_DEPTH
    deep = store.load(base)
    store.commit(deep, to="me/run", message="written again, whole", base="none")
    assert depth_and_steps(store, "me/run") == (0, 0)
    fresh = near(deep, 3)
    done = store.commit(fresh, to="me/run", message="both know its reference", base=base)
    assert done.tensors.delta == 1
    assert depth_and_steps(store, "me/run")[0] <= MAX_DEPTH
    assert torch.equal(store.load("me/run")["w"], fresh["w"])
    assert store.fsck(tensors=True).ok


def test_what_cannot_be_rebuilt_is_not_recorded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = VersionWriter._finish

    def forgetful(writer: VersionWriter, *args: object) -> WrittenVersion:
        written = finish(writer, *args)  # type: ignore[arg-type] # as it was called
        return replace(written, placements=written.placements[1:])

    monkeypatch.setattr(VersionWriter, "_finish", forgetful)
    with pytest.raises(MissingObjectError):
        store.commit({"w": matrix(8)}, to="me/lost", message="x", base="none")
    monkeypatch.undo()
    assert [model.model for model in store.ls().models or ()] == ["me/base"]
