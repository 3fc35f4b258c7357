"""Taking back one's own last entry: what comes back, what is refused, and who wins a race."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

import deltastore
from deltastore.errors import ConflictError, NotFoundError, OutcomeUnknownError, UsageError
from deltastore.history.entries import Draft, RefMove, Transaction, new_token
from deltastore.history.refs import branch_ref
from deltastore.storage.keys import pack_key
from tests.unit.store.writers import (
    ada_and_bob,
    between_compose_and_write,
    meanwhile,
    refs,
    weights,
)

if TYPE_CHECKING:
    from deltastore.history.state import LogState
    from deltastore.store import Store

    Both: TypeAlias = tuple[Store, Store]

TIME = "2026-01-02T03:04:05Z"


@pytest.fixture
def both() -> Both:
    """Ada, who has committed twice to a/m, and Bob."""
    ada, bob = ada_and_bob()
    for seed in (1, 2):
        ada.commit(weights(seed), to="a/m", message=str(seed))
    return ada, bob


def tip(store: Store, name: str = "a/m") -> str:
    return store.resolve(name)


def seq_of_tip(store: Store) -> int:
    return store.reflog(limit=1).entries[0].seq


# what comes back


def test_a_commit_is_taken_back_and_done_again(both: Both) -> None:
    ada, _ = both
    first, second = tip(ada, "a/m~1"), tip(ada)
    seq = seq_of_tip(ada)
    done = ada.undo()
    assert (done.seq, done.entry, done.op, done.message) == (seq, seq + 1, "commit", "2")
    assert [(ref.ref, ref.old, ref.new) for ref in done.refs] == [("a/m@main", second, first)]
    assert tip(ada) == first
    again = ada.undo()
    assert (again.op, again.seq) == ("undo", seq + 1)
    assert tip(ada) == second
    assert ada.load("a/m")["w"].numpy().tolist() == weights(2)["w"].tolist()
    assert ada.fsck(tensors=True).ok


def test_a_new_model_vanishes_and_comes_back(both: Both) -> None:
    ada, _ = both
    ada.commit(weights(3), to="a/typo", message="x")
    ada.undo()
    assert [model.model for model in ada.ls().models or ()] == ["a/m"]
    ada.undo()
    assert [model.model for model in ada.ls().models or ()] == ["a/m", "a/typo"]


def test_a_dry_run_writes_nothing(both: Both) -> None:
    ada, _ = both
    before, seq = refs(ada), seq_of_tip(ada)
    shown = ada.undo(dry_run=True)
    assert (shown.dry_run, shown.entry, shown.seq) == (True, None, seq)
    assert (refs(ada), seq_of_tip(ada)) == (before, seq)


def test_an_entry_taken_back_already_is_left_alone(both: Both) -> None:
    ada, _ = both
    seq = ada.undo().seq
    again = ada.undo(seq)
    assert (again.unchanged, again.entry) == (True, None)
    assert seq_of_tip(ada) == seq + 1
    assert ada.undo(seq, dry_run=True).unchanged


def test_ones_own_later_entries_that_cancel_out_are_no_obstacle(both: Both) -> None:
    ada, _ = both
    first = ada.reflog("a/m").entries[-1].seq
    with pytest.raises(ConflictError, match=r"entry 1 cannot be taken back: 1 later entry") as told:
        ada.undo(first)
    assert told.value.hint == "take back the later ones first: deltastore undo 2"
    ada.undo()
    ada.undo(first)
    assert not ada.ls().models


def test_a_removed_model_comes_back_with_all_its_refs(both: Both) -> None:
    ada, _ = both
    ada.branch("a/m@dev", "a/m~1")
    ada.tag("a/m@v1")
    ada.commit(weights(4), to="a/other", message="o")
    before = refs(ada)
    ada.rm(["a/m", "a/other"])
    assert refs(ada) == {}
    ada.undo()
    assert refs(ada) == before
    assert ada.fsck(tensors=True).ok


def test_a_rename_is_taken_back_with_its_tags(both: Both) -> None:
    ada, _ = both
    ada.tag("a/m@v1")
    before = refs(ada)
    ada.mv("a/m", "a/n")
    ada.undo()
    assert refs(ada) == before
    ada.undo()
    assert set(refs(ada)) == {("a/n@main", "branch"), ("a/n@v1", "tag")}


def test_entries_that_only_checkpoints_have_are_taken_back(both: Both) -> None:
    ada, _ = both
    seq = ada.branch("a/m@old", "a/m~1").seq
    for turn in range(80):
        ada.branch("a/m@busy", f"a/m~{turn % 2}", force=True)
    cold = deltastore.open(ada.url, author="Ada")
    assert cold.undo(seq).op == "branch"
    assert ("a/m@old", "branch") not in refs(ada)
    assert cold._log.state.ckpt is not None


# what is refused


def test_another_writers_entry(both: Both) -> None:
    ada, bob = both
    seq = bob.branch("a/m@bobs").seq
    with pytest.raises(ConflictError, match=rf"^entry {seq} is another writer's \(Bob\)$") as told:
        ada.undo(seq)
    assert "revert" in told.value.hint
    bob.branch("a/m@bobs", "a/m~1", force=True)
    with pytest.raises(ConflictError, match=r"\(Bob\) and 1 later entry builds on it \(a/m@bobs\)"):
        ada.undo(seq)


def test_nothing_of_ones_own(both: Both) -> None:
    _, bob = both
    with pytest.raises(NotFoundError, match="no entry of Bob"):
        bob.undo()


@pytest.mark.parametrize(("seq", "told"), [(99, "no entry 99; the newest is 2"), (0, "neither")])
def test_entries_that_are_none(both: Both, seq: int, told: str) -> None:
    with pytest.raises(NotFoundError, match=told):
        both[0].undo(seq)


@pytest.mark.parametrize("seq", ["1", 1.0, True])
def test_numbers_that_are_none(both: Both, seq: Any) -> None:
    with pytest.raises(UsageError, match="no number of a log entry"):
        both[0].undo(seq)


@pytest.mark.parametrize("built", ["commit", "branch", "tag", "fine-tune", "reset and back"])
def test_others_have_built_on_it(both: Both, built: str) -> None:
    ada, bob = both
    seq = seq_of_tip(ada)
    if built == "commit":
        bob.commit(weights(5), to="a/m", message="b")
    elif built == "branch":
        bob.commit(weights(5), to="a/m@bobs", message="b", parent="a/m")
    elif built == "tag":
        bob.tag("a/m@v1")
    elif built == "fine-tune":
        bob.commit(weights(5), to="bob/x", message="b", base="a/m")
        bob.commit(weights(6), to="bob/x", message="c", base="none")
    else:
        bob.reset("a/m", "a/m~1")
        bob.undo()
    before = refs(ada)
    for attempt in (None, seq):
        with pytest.raises(ConflictError, match=r"later entr(y|ies) builds? on it") as told:
            ada.undo(attempt)
        assert f"entry {seq} " in str(told.value)
    assert refs(ada) == before


def test_what_others_took_back_themselves_is_no_obstacle(both: Both) -> None:
    ada, bob = both
    bob.commit(weights(5), to="bob/x", message="b", base="a/m")
    bob.undo()
    first = tip(ada, "a/m~1")
    ada.undo()
    assert tip(ada) == first


@pytest.mark.parametrize("deleted", [False, True])
def test_what_was_collected_as_garbage_does_not_come_back(both: Both, deleted: bool) -> None:
    ada, _ = both
    meta = ada._log.state.commits[ada._resolve("a/m").commit]
    ada.rm("a/m")
    txn = Transaction(new_token(), "gc", "gc", TIME, "")
    ada._log.append(lambda _: Draft((txn,), condemn=(meta,)))
    if deleted:
        ada._backend.delete_many([pack_key(meta)])
        ada = deltastore.open(ada.url, author="Ada")
    with pytest.raises(ConflictError, match="was collected as garbage"):
        ada.undo()
    assert refs(ada) == {}


# races


def test_a_commit_that_lands_meanwhile_wins(both: Both) -> None:
    ada, bob = both
    between_compose_and_write(ada, lambda: bob.commit(weights(5), to="a/m", message="b"))
    with pytest.raises(ConflictError, match="1 later entry builds on it"):
        ada.undo()
    assert [commit.message for commit in bob.log("a/m").commits] == ["b", "2", "1"]


def test_a_fine_tune_that_lands_meanwhile_wins(both: Both) -> None:
    ada, bob = both
    between_compose_and_write(
        ada, lambda: bob.commit(weights(5), to="bob/x", message="b", base="a/m")
    )
    with pytest.raises(ConflictError, match=r"1 later entry builds on it \(bob/x@main\)"):
        ada.undo()


def test_what_lands_elsewhere_meanwhile_does_no_harm(both: Both) -> None:
    ada, bob = both
    first = tip(ada, "a/m~1")
    between_compose_and_write(ada, lambda: bob.commit(weights(5), to="bob/x", message="b"))
    done = ada.undo()
    assert done.entry == done.seq + 2
    assert tip(ada) == first
    assert tip(ada, "bob/x")


@pytest.mark.parametrize("when", [meanwhile, between_compose_and_write])
def test_two_undos_at_once_are_one(both: Both, when: Any) -> None:
    ada, _ = both
    other = deltastore.open(ada.url, author="Ada")
    first = tip(ada, "a/m~1")
    when(ada, other.undo)
    done = ada.undo()
    assert done.unchanged
    assert tip(ada) == first
    assert seq_of_tip(ada) == done.seq + 1


def test_a_lost_answer_is_settled_by_naming_the_entry(
    both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, _ = both
    first, seq = tip(ada, "a/m~1"), seq_of_tip(ada)
    append = ada._log.append

    def lose(compose: Any, **options: Any) -> Any:
        append(compose, **options)
        raise OutcomeUnknownError("it may be there")

    monkeypatch.setattr(ada._log, "append", lose)
    with pytest.raises(OutcomeUnknownError) as told:
        ada.undo()
    assert f"deltastore undo {seq} looks first" in told.value.hint
    monkeypatch.undo()
    assert ada.undo(seq).unchanged
    assert tip(ada) == first


# entries of several writers


def together(store: Store, *moves: tuple[str, str, str | None]) -> int:
    """One entry with a transaction for each (actor, branch, revision)."""
    commits = [revision and store._resolve(revision).commit for _, _, revision in moves]

    def compose(state: LogState) -> Draft:
        stands = dict(state.refs)
        txns = []
        for (actor, branch, _), commit in zip(moves, commits, strict=True):
            name = branch_ref("a/m", branch)
            old = stands[name].commit if name in stands else None
            txns.append(
                Transaction(
                    new_token(), "branch", actor, TIME, "", (RefMove(name, old, commit or None),)
                )
            )
            if commit:
                last = stands.get(name) or next(iter(stands.values()))
                stands[name] = replace(last, commit=commit)
        return Draft(tuple(txns))

    return store._log.append(compose).v


def test_of_an_entry_of_several_writers_ones_own_part_is_taken_back(both: Both) -> None:
    ada, bob = both
    seq = together(ada, ("Ada", "x", "a/m"), ("Bob", "y", "a/m"), ("Ada", "z", "a/m"))
    done = ada.undo()
    assert done.seq == seq
    assert sorted(ref.ref for ref in done.refs) == ["a/m@x", "a/m@z"]
    assert {name for name, _ in refs(ada)} == {"a/m@main", "a/m@y"}
    assert [ref.ref for ref in bob.undo(seq).refs] == ["a/m@y"]


def test_several_moves_of_one_ref_in_an_entry_are_taken_back_as_one(both: Both) -> None:
    ada, _ = both
    first, second = tip(ada, "a/m~1"), tip(ada)
    together(ada, ("Ada", "x", "a/m"), ("Ada", "x", "a/m~1"))
    (ref,) = ada.undo().refs
    assert (ref.old, ref.new) == (first, None)
    together(ada, ("Bob", "x", "a/m"), ("Ada", "x", "a/m~1"))
    (ref,) = ada.undo().refs
    assert (ref.old, ref.new) == (first, second)


def test_who_moved_a_ref_on_in_the_same_entry_has_built_on_it(both: Both) -> None:
    ada, _ = both
    together(ada, ("Ada", "x", "a/m"), ("Bob", "x", "a/m~1"), ("Ada", "x", "a/m"))
    with pytest.raises(ConflictError, match="1 later entry builds on it"):
        ada.undo()
