"""Previews say that they are previews, and a misspelled fidelity is not taken for `exact`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

import deltastore
from deltastore.errors import InvalidError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deltastore import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    torch.manual_seed(0)
    base = torch.randn(200, 200, dtype=torch.bfloat16)
    tuned = base + 0.01 * torch.randn(200, 200, dtype=torch.bfloat16)
    with deltastore.init(tmp_path_factory.mktemp("previews") / "store", threads=1) as opened:
        opened.commit({"w": base}, to="me/base", message="m")
        opened.commit({"w": tuned}, to="me/tuned", base="me/base", message="m")
        yield opened


def test_a_loaded_preview_is_not_committed_as_the_real_thing(store: Store) -> None:
    preview = store.load("me/tuned", fidelity="preview")
    assert not preview["w"].equal(store.load("me/tuned")["w"])
    with pytest.raises(InvalidError, match="is a preview"):
        store.commit(preview, to="me/wrong", message="m", base="me/base")


def test_a_loaded_preview_is_committed_when_asked_for_and_stays_marked(
    store: Store, tmp_path: Path
) -> None:
    preview = store.load("me/tuned", fidelity="preview")
    store.commit(preview, to="me/lossy", message="m", base="me/base", lossy=True)
    store.checkout("me/lossy", tmp_path / "out")
    with pytest.raises(InvalidError, match="is a preview"):
        store.commit(tmp_path / "out", to="me/wrong", message="m")


@pytest.mark.parametrize("revision", ["me/tuned", "me/base"])
def test_exact_weights_are_not_marked(store: Store, revision: str) -> None:
    fidelity: Any = "exact" if revision == "me/tuned" else "preview"
    state = store.load(revision, fidelity=fidelity)
    again = store.commit(state, to=revision, message="again")
    assert again.unchanged


def test_a_misspelled_fidelity_is_refused(store: Store, tmp_path: Path) -> None:
    wrong: Any = "prevew"
    calls = (
        lambda: store.checkout("me/tuned", tmp_path / "a", fidelity=wrong),
        lambda: store.export("me/tuned", tmp_path / "b", fidelity=wrong),
        lambda: store.load("me/tuned", fidelity=wrong),
        lambda: store.tensor("me/tuned", "w", fidelity=wrong),
    )
    for call in calls:
        with pytest.raises(UsageError, match="no fidelity 'prevew'"):
            call()
    assert not list(tmp_path.iterdir())
