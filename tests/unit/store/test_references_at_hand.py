"""`reference=`: what a folder at hand has is not read from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

import deltastore
from deltastore.checkpoints.folder import scan
from deltastore.checkpoints.source import FolderSource
from deltastore.errors import InvalidError, NotFoundError
from deltastore.ids import Digest
from deltastore.materialize.shelves import FolderShelf

if TYPE_CHECKING:
    from pathlib import Path

    from deltastore import Store

State = dict[str, torch.Tensor]


def base_model() -> State:
    generator = torch.Generator().manual_seed(1)
    return {
        f"w{n}": (torch.randn(256, 300, generator=generator) * 0.05).bfloat16() for n in range(6)
    }


def tuned(state: State) -> State:
    generator = torch.Generator().manual_seed(2)
    moved = {
        name: (each.float() + torch.randn(each.shape, generator=generator) * 1e-4).bfloat16()
        for name, each in state.items()
    }
    return moved | {"w5": state["w5"], "wide": moved["w0"].float()}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    folder = tmp_path / "base"
    folder.mkdir()
    save_file(base_model(), folder / "model.safetensors")
    made = deltastore.init(tmp_path / "s")
    made.commit(folder, to="me/base", message="base")
    made.commit(tuned(base_model()), to="me/tuned", base="me/base", message="t")
    return made


def test_a_checkout_reads_only_what_the_folder_lacks(store: Store, tmp_path: Path) -> None:
    plain = store.checkout("me/tuned", tmp_path / "plain")
    at_hand = store.checkout("me/tuned", tmp_path / "out", reference=tmp_path / "base")
    assert at_hand.verified
    one, other = (tmp_path / name / "model.safetensors" for name in ("plain", "out"))
    assert one.read_bytes() == other.read_bytes()
    own = store.stats("me/tuned").own_bytes
    assert own is not None
    assert at_hand.fetched_bytes < 1.05 * own + 20_000 < plain.fetched_bytes


def test_other_folders_do_no_harm(store: Store, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    save_file({name: each + 1 for name, each in base_model().items()}, other / "x.safetensors")
    done = store.checkout("me/tuned", tmp_path / "out", reference=other)
    assert done.verified
    with pytest.raises(NotFoundError):
        store.checkout("me/tuned", tmp_path / "out2", reference=tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no weights")
    with pytest.raises(InvalidError, match="safetensors"):
        store.checkout("me/tuned", tmp_path / "out2", reference=tmp_path / "empty")
    assert not (tmp_path / "out2").exists()


def test_a_preview_is_built_on_the_folder_too(store: Store, tmp_path: Path) -> None:
    plain = store.checkout("me/tuned", tmp_path / "p1", fidelity="preview")
    at_hand = store.checkout(
        "me/tuned", tmp_path / "p2", fidelity="preview", reference=tmp_path / "base"
    )
    assert at_hand.fetched_bytes < 0.5 * plain.fetched_bytes
    names = ("p1", "p2")
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in names)
    assert first == second


def test_a_commit_reads_the_base_from_the_folder(store: Store, tmp_path: Path) -> None:
    state = {name: (each.float() * 1.002).bfloat16() for name, each in base_model().items()}
    reading = deltastore.open(tmp_path / "s")
    before = reading._backend.traffic.bytes_read
    done = reading.commit(
        state, to="me/next", base="me/base", message="n", reference=tmp_path / "base"
    )
    fetched = reading._backend.traffic.bytes_read - before
    assert done.tensors.delta == 6
    whole = 6 * 256 * 300 * 2
    assert fetched < 0.3 * whole
    found = deltastore.open(tmp_path / "s").load("me/next")
    assert all(torch.equal(found[name], each) for name, each in state.items())


def test_a_file_that_changes_is_noticed(store: Store, tmp_path: Path) -> None:
    files = FolderSource(scan(tmp_path / "base")).files()
    save_file(tuned(base_model()), tmp_path / "base" / "model.safetensors")
    with pytest.raises(InvalidError):
        FolderShelf(files).has(Digest("00" * 32), "BF16", (256, 300))
    assert store.checkout("me/tuned", tmp_path / "out", reference=tmp_path / "base").verified
