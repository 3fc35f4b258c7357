"""Races and lost answers around one commit, seen from `Store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import deltastore
from deltastore.errors import ConflictError, InvalidError, OutcomeUnknownError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deltastore.store import Store

Weights = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


def weights(seed: int, size: int = 200) -> Weights:
    random = np.random.default_rng(seed)
    return {"w": random.standard_normal((size, size), dtype=np.float32)}


def near(state: Weights, seed: int) -> Weights:
    random = np.random.default_rng(seed)
    return {
        name: value + np.float32(1e-3) * random.standard_normal(value.shape, dtype=np.float32)
        for name, value in state.items()
    }


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with deltastore.init(tmp_path / "store", cache=tmp_path / "cache") as opened:
        yield opened


def meanwhile(store: Store, act: Callable[[Store], object]) -> None:
    """Let another writer act once, after this store's next commit has decided what to do."""
    log = store._log
    append = log.append

    def racing(compose: Any, **options: Any) -> Any:
        log.append = append  # type: ignore[method-assign]
        with deltastore.open(store.url) as other:
            act(other)
        return append(compose, **options)

    log.append = racing  # type: ignore[method-assign]


def test_a_commit_appends_to_where_the_branch_is_by_then(store: Store) -> None:
    first = store.commit(weights(1), to="a/m", message="1")
    meanwhile(store, lambda other: other.commit(weights(2), to="a/m", message="2"))
    third = store.commit(weights(3), to="a/m", message="3")
    assert third.moved
    log = store.log("a/m").commits
    assert [commit.message for commit in log] == ["3", "2", "1"]
    assert log[-1].commit == first.commit
    assert store.fsck(tensors=True).ok


def test_expect_makes_that_a_conflict(store: Store) -> None:
    store.commit(weights(1), to="a/m", message="1")
    meanwhile(store, lambda other: other.commit(weights(2), to="a/m", message="2"))
    with pytest.raises(ConflictError, match="nothing was recorded"):
        store.commit(weights(3), to="a/m", message="3", expect="a/m")
    assert len(store.log("a/m").commits) == 2


def test_the_same_files_from_two_writers_are_one_commit(store: Store) -> None:
    store.commit(weights(1), to="a/m", message="1")
    meanwhile(store, lambda other: other.commit(weights(2), to="a/m", message="2"))
    again = store.commit(weights(2), to="a/m", message="2 too")
    assert again.unchanged
    assert len(store.log("a/m").commits) == 2


def test_an_inherited_base_is_that_of_the_parent_it_gets(store: Store) -> None:
    one, two = weights(1), weights(2)
    bases = [store.commit(s, to=f"a/b{i}", message="b").commit for i, s in enumerate((one, two))]
    store.commit(near(one, 5), to="a/m", message="1", base="a/b0")
    move = near(two, 6)
    meanwhile(store, lambda other: other.commit(move, to="a/m", message="2", base="a/b1"))
    third = store.commit(near(two, 7), to="a/m", message="3")
    assert third.base == bases[1]
    assert third.moved is False  # everything was decided anew
    assert third.tensors.delta == 1


def test_a_branch_deleted_meanwhile_is_a_conflict(store: Store) -> None:
    store.commit(weights(1), to="a/m@x", message="1")
    meanwhile(store, lambda other: other.branch("a/m@x", delete=True))
    with pytest.raises(ConflictError, match="deleted"):
        store.commit(weights(3), to="a/m@x", message="3")


def test_parent_is_for_new_branches(store: Store) -> None:
    first = store.commit(weights(1), to="a/m", message="1")
    grown = store.commit(weights(2), to="a/m@x", message="2", parent="a/m")
    assert grown.parents == (first.commit,)
    with pytest.raises(UsageError, match="exists"):
        store.commit(weights(3), to="a/m", message="3", parent=grown.commit)


def test_a_lost_answer_is_settled_by_running_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.commit(weights(1), to="a/m", message="1")
    append = store._log.append

    def lose(compose: Any, **options: Any) -> Any:
        append(compose, **options)
        msg = "it may be there"
        raise OutcomeUnknownError(msg)

    monkeypatch.setattr(store._log, "append", lose)
    with pytest.raises(OutcomeUnknownError):
        store.commit(weights(2), to="a/m", message="2", expect=first.commit)
    monkeypatch.undo()
    again = store.commit(weights(2), to="a/m", message="2", expect=first.commit)
    assert again.unchanged
    with pytest.raises(ConflictError):
        store.commit(weights(3), to="a/m", message="2", expect=first.commit)
    assert len(store.log("a/m").commits) == 2


def test_what_no_header_can_hold_is_refused_before_anything_is_written(
    store: Store, tmp_path: Path
) -> None:
    packs = list((tmp_path / "store").rglob("*.safetensors"))
    with pytest.raises(InvalidError):
        store.commit(weights(1), to="a/m", message="m" * 70_000)
    assert list((tmp_path / "store").rglob("*.safetensors")) == packs


def test_a_file_that_changes_between_hashing_and_storing_is_refused(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deltastore.ingest import writing
    from deltastore.materialize.sides import hash_blob

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "state.json").write_text("before")

    def then_change(file: Any) -> Any:
        found = hash_blob(file)
        file.chunks = lambda: iter([b"after!"])
        return found

    monkeypatch.setattr(writing, "hash_blob", then_change)
    with pytest.raises(InvalidError, match="changed while it was being read"):
        store.commit(folder, to="a/m", message="1")


def test_an_unchanged_tensor_keeps_its_preview_and_a_copy_gets_one(store: Store) -> None:
    base = weights(1) | {"v": weights(9)["w"]}
    tuned = near(base, 2)
    store.commit(base, to="a/base", message="b")
    first = store.commit(tuned, to="a/m", message="1", base="a/base")
    assert first.preview_error is not None
    more = tuned | {"v": near(base, 3)["v"]}
    second = store.commit(more, to="a/m", message="2")
    assert second.tensors.unchanged == 1
    copy = store.commit(tuned, to="you/copy", message="c", base="a/base")
    assert copy.tensors.unchanged == 2
    assert copy.preview_error == pytest.approx(first.preview_error, abs=1e-6)
    fresh = store.commit(tuned, to="you/fresh", message="f", base="a/base", preview=0.3)
    assert fresh.preview_bytes > first.preview_bytes
    assert fresh.preview_error is not None
    assert fresh.preview_error < first.preview_error
    bare = store.commit(tuned, to="you/bare", message="n", base="a/base", preview=None)
    assert bare.preview_error is None
    assert store.fsck(tensors=True).ok


def test_fine_tunes_of_fine_tunes_are_whole_only_every_fifth_time(store: Store) -> None:
    state = weights(1)
    store.commit(state, to="a/m0", message="0")
    found = []
    for step in range(1, 7):
        state = near(state, step)
        done = store.commit(state, to=f"a/m{step}", message="s", base=f"a/m{step - 1}")
        found.append(done.tensors.dense)
        if done.tensors.dense:
            assert "kept whole" in " ".join(done.warnings)
    assert found == [0, 0, 0, 0, 1, 0]
    assert store.fsck(tensors=True).ok
