"""Taking one commit's change back: the parent's bytes, or subtraction in what changed since."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import deltastore
from deltastore.errors import (
    ConflictError,
    IncompatibleError,
    NotFoundError,
    OutcomeUnknownError,
    UsageError,
)
from tests.cli.weights import Tensor, safetensors_file, sha256_of_files
from tests.unit.store.writers import between_compose_and_write, meanwhile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from deltastore.store import Store

    Floats = npt.NDArray[np.float32]

SIZE = (136, 128)


def f32(values: Floats) -> Tensor:
    return Tensor("F32", values.shape, values.astype("<f4").tobytes())


def ints(*values: int) -> Tensor:
    return Tensor("I64", (len(values),), np.array(values, "<i8").tobytes())


def noise(seed: int, scale: float = 1.0) -> Floats:
    random = np.random.default_rng(seed)
    return np.float32(scale) * random.standard_normal(SIZE, dtype=np.float32)


A, B, C = noise(0), noise(1, 1e-2), noise(2, 1e-2)
"""The first version's weights, and two changes to them."""


class Branch:
    """A store, and folders committed to a branch of it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store

    def commit(
        self,
        tensors: dict[str, Tensor],
        *,
        to: str = "a/m",
        files: dict[str, str] | None = None,
        metadata: dict[str, str] | None = None,
        **options: Any,
    ) -> str:
        number = len(list(self.folder.glob("in-*")))
        folder = self.folder / f"in-{number}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(safetensors_file(tensors, metadata))
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        return self.store.commit(folder, to=to, message=f"number {number}", **options).commit

    def sums(self, revision: str) -> dict[str, str]:
        out = self.folder / f"out-{len(list(self.folder.glob('out-*')))}"
        assert self.store.checkout(revision, out).verified
        return sha256_of_files(out)

    def tensor(self, name: str, revision: str = "a/m") -> Floats:
        found: Floats = self.store.tensor(revision, name).numpy()
        return found


@pytest.fixture
def branch(tmp_path: Path) -> Iterator[Branch]:
    cache = tmp_path / "cache"
    with deltastore.init(tmp_path / "store", cache=cache, author="Ada", threads=1) as store:
        yield Branch(tmp_path, store)
        assert store.fsck(tensors=True).ok


# of the tip


def test_of_a_tip_the_parents_files_byte_for_byte(branch: Branch) -> None:
    store = branch.store
    base = branch.commit({"w": f32(A)}, to="a/base", files={"x.txt": "0"})
    first = branch.commit(
        {"w": f32(A + B)}, files={"x.txt": "1"}, base="a/base", metrics={"mmlu": 0.5}
    )
    second = branch.commit({"w": f32(A + B + C), "new": ints(1)}, metrics={"mmlu": 0.4})
    before = store.reflog(limit=1).entries[0].seq
    done = store.revert("a/m")
    assert (done.parents, done.base) == ((second,), base)
    assert (done.reverted, done.exact, done.subtracted) == (second, True, ())
    assert branch.sums("a/m") == branch.sums(first)
    assert done.stored_bytes < 20_000
    info, parent = store.show("a/m"), store.show(first)
    assert info.files == parent.files
    assert info.preview_error == parent.preview_error
    assert info.metrics == {"mmlu": 0.5}
    assert info.metadata == {"reverts": second}
    assert info.message == f'Revert "number 2"\n\nThis reverts commit {second}.'
    entry = store.reflog("a/m", limit=1).entries[0]
    assert (entry.op, entry.seq) == ("revert", before + 1)
    preview = branch.folder / "preview"
    assert store.checkout("a/m", preview, fidelity="preview").fidelity == "preview"


def test_no_weights_are_read_to_revert_a_tip(branch: Branch) -> None:
    branch.commit({"w": f32(A)})
    branch.commit({"w": f32(A + B)})
    with deltastore.open(branch.store.url, threads=1) as cold:
        before = cold._backend.traffic.bytes_read
        cold.revert("a/m")
        assert cold._backend.traffic.bytes_read - before < A.nbytes / 2


def test_reverting_a_revert_does_it_again(branch: Branch) -> None:
    branch.commit({"w": f32(A)})
    second = branch.commit({"w": f32(A + B)})
    branch.store.revert("a/m")
    branch.store.revert("a/m")
    assert branch.sums("a/m") == branch.sums(second)


def test_a_change_taken_back_already_is_left_alone(branch: Branch) -> None:
    branch.commit({"w": f32(A)})
    second = branch.commit({"w": f32(A + B)})
    done = branch.store.revert(second, to="a/m")
    again = branch.store.revert(second, to="a/m")
    assert (again.unchanged, again.commit) == (True, done.commit)


def test_undo_takes_a_revert_back(branch: Branch) -> None:
    branch.commit({"w": f32(A)})
    second = branch.commit({"w": f32(A + B)})
    branch.store.revert("a/m")
    branch.store.undo()
    assert branch.store.resolve("a/m") == second


# of an older commit


def test_of_an_older_commit_the_change_is_subtracted(branch: Branch) -> None:
    one, two, three = A, A + B, A + B + C
    tied, kept = ints(1, 2), f32(noise(9))
    branch.commit({"w": f32(one), "v": f32(one), "n": tied, "k": kept})
    old = branch.commit({"w": f32(two), "v": f32(two), "n": ints(3), "k": kept})
    branch.commit({"w": f32(three), "v": f32(two), "n": ints(3), "k": kept})
    done = branch.store.revert("a/m~1")
    assert (done.reverted, done.exact, done.subtracted) == (old, False, ("w",))
    wide = (side.astype(np.float64) for side in (three, two, one))
    tip, commit, parent = wide
    expected = (tip - (commit - parent)).astype(np.float32)
    assert branch.tensor("w").tobytes() == expected.tobytes()
    assert branch.tensor("v").tobytes() == one.tobytes()
    assert branch.tensor("n").tolist() == [1, 2]
    assert branch.tensor("k").tobytes() == noise(9).tobytes()
    assert done.tensors.unchanged == 3


def test_an_older_change_that_nothing_followed_is_taken_back_exactly(branch: Branch) -> None:
    first = branch.commit({"w": f32(A), "v": f32(A)}, files={"config.json": "{}"})
    branch.commit({"w": f32(A + B), "v": f32(A)}, files={"config.json": '{"a": 1}'})
    branch.commit(
        {"w": f32(A + B), "v": f32(A + C)}, files={"config.json": '{"a": 1}', "new.txt": "x"}
    )
    done = branch.store.revert("a/m~1")
    assert (done.exact, done.subtracted) == (True, ())
    assert branch.tensor("w").tobytes() == A.tobytes()
    assert branch.tensor("v").tobytes() == (A + C).tobytes()
    sums = branch.sums("a/m")
    assert sums["config.json"] == branch.sums(first)["config.json"]
    assert "new.txt" in sums


def test_files_that_the_commit_added_or_removed(branch: Branch) -> None:
    branch.commit({"w": f32(A)}, files={"gone.txt": "1", "kept.txt": "2"})
    branch.commit({"w": f32(A)}, files={"kept.txt": "2", "added.txt": "3"})
    branch.commit({"w": f32(A + B)}, files={"kept.txt": "2!", "added.txt": "3"})
    done = branch.store.revert("a/m~1")
    assert done.exact
    files = {file.path for file in branch.store.show("a/m").files}
    assert files == {"gone.txt", "kept.txt", "model.safetensors"}


def test_tensors_that_the_commit_added(branch: Branch) -> None:
    branch.commit({"w": f32(A)}, metadata={"format": "pt"})
    branch.commit({"w": f32(A), "head": f32(B)}, metadata={"format": "pt", "step": "2"})
    branch.commit({"w": f32(A + C), "head": f32(B)}, metadata={"format": "pt", "step": "2"})
    assert branch.store.revert("a/m~1").exact
    assert [found.name for found in branch.store.ls("a/m", tensors=True).tensors or ()] == ["w"]
    assert branch.tensor("w").tobytes() == (A + C).tobytes()


def test_the_new_version_has_the_tips_base_and_previews(branch: Branch) -> None:
    base = branch.commit({"w": f32(A)}, to="a/base")
    branch.commit({"w": f32(A + B)}, base="a/base")
    branch.commit({"w": f32(A + B + C)})
    branch.commit({"w": f32(A + B + C + B)})
    done = branch.store.revert("a/m~1")
    assert done.base == base
    assert done.tensors.delta == 1
    assert done.preview_error is not None


# what is refused


def test_files_changed_since_are_named(branch: Branch) -> None:
    branch.commit({"w": f32(A)}, files={"a.json": "1", "b.json": "1", "c.json": "1"})
    branch.commit({"w": f32(A)}, files={"a.json": "2", "b.json": "2", "c.json": "2"})
    branch.commit({"w": f32(A)}, files={"a.json": "3", "c.json": "2"})
    before = branch.store.resolve("a/m")
    with pytest.raises(ConflictError, match=r"as well: a\.json, b\.json; nothing was recorded"):
        branch.store.revert("a/m~1")
    assert branch.store.resolve("a/m") == before


@pytest.mark.parametrize(
    "versions",
    [
        [ints(1), ints(2), ints(3)],
        [f32(A), f32(A + B), Tensor("F32", (128, 136), f32(C).data)],
        [f32(A), Tensor("BF16", SIZE, b"\1\2" * A.size), Tensor("BF16", SIZE, b"\1\3" * A.size)],
    ],
)
def test_tensors_that_cannot_be_subtracted_are_named(
    branch: Branch, versions: list[Tensor]
) -> None:
    for number, tensor in enumerate(versions):
        branch.commit({"w": f32(A + np.float32(number)), "odd": tensor})
    with pytest.raises(IncompatibleError, match=": odd; nothing was recorded"):
        branch.store.revert("a/m~1")


def test_integers_that_differ_both_ways_are_incompatible(branch: Branch) -> None:
    for number in range(3):
        branch.commit({"steps": ints(number, number)})
    with pytest.raises(IncompatibleError, match=r"integers.*: steps; nothing was recorded"):
        branch.store.revert("a/m~1")


def test_a_first_commit_has_nothing_before_it(branch: Branch) -> None:
    branch.commit({"w": f32(A)})
    with pytest.raises(NotFoundError, match="no parent to go back to") as told:
        branch.store.revert("a/m")
    assert "undo" in told.value.hint


def test_on_which_branch(branch: Branch) -> None:
    first = branch.commit({"w": f32(A)})
    second = branch.commit({"w": f32(A + B)})
    branch.commit({"w": f32(C)}, to="a/m@other", parent=first)
    branch.store.tag("a/m@v2", second)
    with pytest.raises(UsageError, match="on which branch"):
        branch.store.revert(second)
    with pytest.raises(IncompatibleError, match="not in the history of a/m@other"):
        branch.store.revert(second, to="a/m@other")
    with pytest.raises(NotFoundError, match="a/m@nope: no such branch"):
        branch.store.revert(second, to="a/m@nope")
    other = branch.store.revert("a/m@other", message="back")
    assert (other.branch, branch.store.show("a/m@other").message) == ("other", "back")
    assert branch.store.revert("a/m@v2").branch == "main"


# races


@pytest.mark.parametrize("steps", ["", "~1"])
def test_a_commit_that_lands_meanwhile_is_not_lost(branch: Branch, steps: str) -> None:
    for number in range(3):
        branch.commit({"w": f32(A + np.float32(number))})
    with deltastore.open(branch.store.url, author="Bob", threads=1) as bob:
        landing = {"w": np.zeros(3, np.float32)}
        between_compose_and_write(
            branch.store, lambda: bob.commit(landing, to="a/m", message="bob's")
        )
        with pytest.raises(ConflictError, match="a/m@main moved meanwhile") as told:
            branch.store.revert(f"a/m{steps}")
    assert told.value.hint.startswith("run the same command again")
    assert branch.store.show("a/m").message == "bob's"


def test_a_branch_deleted_meanwhile(branch: Branch) -> None:
    branch.commit({"w": f32(A)})
    branch.commit({"w": f32(A + B)})
    with deltastore.open(branch.store.url, author="Bob", threads=1) as bob:
        meanwhile(branch.store, lambda: bob.rm("a/m"))
        with pytest.raises(ConflictError, match="was deleted; nothing was recorded"):
            branch.store.revert("a/m")


def test_a_lost_answer_is_settled_by_naming_the_commit(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    branch.commit({"w": f32(A)})
    second = branch.commit({"w": f32(A + B)})
    append = branch.store._log.append

    def lose(compose: Any, **options: Any) -> Any:
        append(compose, **options)
        raise OutcomeUnknownError("it may be there")

    monkeypatch.setattr(branch.store._log, "append", lose)
    with pytest.raises(OutcomeUnknownError) as told:
        branch.store.revert("a/m")
    assert told.value.hint == f"deltastore revert {second[:12]} --to a/m@main looks first"
    monkeypatch.undo()
    assert branch.store.revert(second[:12], to="a/m@main").unchanged


def test_sharded_files_are_taken_back_one_by_one(branch: Branch) -> None:
    store, folder = branch.store, branch.folder

    def shards(name: str, first: Floats, second: Floats) -> str:
        place = folder / name
        place.mkdir()
        (place / "m-1.safetensors").write_bytes(safetensors_file({"a": f32(first)}))
        (place / "m-2.safetensors").write_bytes(safetensors_file({"b": f32(second)}))
        index = {"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
        (place / "m.safetensors.index.json").write_text(json.dumps(index))
        return store.commit(place, to="a/m", message=name).commit

    shards("one", A, B)
    shards("two", A + C, B + C)
    tip = shards("three", A + C, B + C + C)
    done = store.revert("a/m~1")
    assert done.subtracted == ("b",)
    assert done.parents == (tip,)
    assert branch.tensor("a").tobytes() == A.tobytes()
